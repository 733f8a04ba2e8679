import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.networks import predict_clips
from echodfkd_jax.networks.layers import standardise
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.networks.registry import build_model, describe_model
from echodfkd_jax.networks.safetensors import load_variables, save_variables
from echodfkd_jax.networks.unet import UNet, beside_each_frame
from echodfkd_jax.teachers import load_teacher
from echodfkd_jax.teachers.base import Teacher
from tests import factories

FIELDS = {"name": "unet", "channels": [2, 4], "subsampling": 2}


def noise(shape):
    return jnp.asarray(np.random.default_rng(0).uniform(0, 255, shape), jnp.float32)


def frames(num_frames, seed=0):
    shape = (num_frames, 8, 12)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def variables():
    return factories.random_weights(build_model(**FIELDS), jnp.zeros((1, 1, 4, 4, 1)))


@pytest.fixture
def weights(tmp_path, variables):
    path = tmp_path / "unet.safetensors"
    save_variables(path, variables, {"model": describe_model(build_model(**FIELDS))})
    return path


def test_default_has_about_half_a_million_weights():
    shapes = jax.eval_shape(UNet().init, jax.random.key(0), jnp.zeros((1, 1, 8, 8, 1)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 488_417


def test_standardised_frame_has_mean_0_and_deviation_1():
    frame = jnp.array([[0.0, 255.0], [0.0, 255.0]])[None, :, :, None]
    np.testing.assert_allclose(standardise(frame)[0, :, :, 0], [[-1, 1], [-1, 1]], rtol=1e-6)


def test_blank_frame_stays_finite():
    np.testing.assert_array_equal(standardise(jnp.full((1, 2, 2, 1), 9.0)), 0)


def test_gain_and_brightness_of_a_frame_do_not_matter(variables):
    model = UNet((2, 4))
    video = noise((1, 2, 8, 8, 1)) * 100 / 255
    logits = jax.jit(model.apply)(variables, video)
    np.testing.assert_allclose(jax.jit(model.apply)(variables, 2 * video + 30), logits, atol=1e-4)


def test_each_frame_is_segmented_by_itself(variables):
    model = UNet((2, 4))
    video = noise((2, 3, 8, 8, 1))
    logits = jax.jit(model.apply)(variables, video)
    alone = jax.jit(model.apply)(variables, video[1:, 2:])
    assert logits.shape == video.shape
    np.testing.assert_allclose(logits[1:, 2:], alone, atol=1e-5)


def test_training_mode_updates_the_running_statistics_of_every_layer(variables):
    model = UNet((2, 4))
    video = noise((2, 3, 8, 8, 1))
    _, updates = jax.jit(functools.partial(model.apply, train=True, mutable=["batch_stats"]))(
        variables, video
    )
    old, new = variables["batch_stats"], updates["batch_stats"]
    assert old.keys() == new.keys()
    assert all(np.all(old[name]["var"] != new[name]["var"]) for name in old)


def test_frames_that_cannot_be_halved_are_an_error():
    with pytest.raises(
        UserError, match=r"6x8 pixels .* 2 levels and subsampling=2; .* multiples of 4"
    ):
        UNet((2, 4), subsampling=2).init(jax.random.key(0), jnp.zeros((1, 1, 6, 8, 1)))


@pytest.mark.parametrize("num_frames", [0, 1, 33])
def test_teacher_gives_the_models_probabilities_for_any_number_of_frames(weights, num_frames):
    teacher = load_teacher("unet", weights=weights)
    clip = frames(num_frames)
    got = teacher(clip)
    assert got.shape == (*clip.shape, 1)
    video = jnp.asarray(clip, jnp.float32)[None, ..., None]
    wanted = jax.nn.sigmoid(jax.jit(build_model(**FIELDS).apply)(load_variables(weights)[0], video))
    np.testing.assert_allclose(got, wanted[0], atol=1e-5)


@pytest.mark.slow
def test_a_teacher_of_two_structures_gives_both(tmp_path):
    model = build_model(**FIELDS, structures=("lv", "la"))
    variables = model.init(jax.random.key(0), jnp.zeros((1, 1, 4, 4, 1)))
    path = tmp_path / "two.safetensors"
    save_variables(path, variables, {"model": describe_model(model)})
    teacher = load_teacher("unet", weights=path)
    assert teacher.structures == ("lv", "la")
    clip = frames(3)
    wanted = jax.nn.sigmoid(model.apply(variables, jnp.asarray(clip, jnp.float32)[None, ..., None]))
    np.testing.assert_allclose(teacher(clip), wanted[0], atol=1e-5)
    assert teacher(frames(0)).shape == (0, 8, 12, 2)


@pytest.fixture(scope="module")
def temporal():
    """A network that sees time, and its random weights."""
    model = UNet((2, 4), context=(-4, -1, 2, 4))
    return model, factories.random_weights(model, jnp.zeros((1, 1, 4, 4, 1)))


def test_without_context_a_frame_is_seen_by_itself():
    assert UNet((2, 4)).reach == 0


def test_a_frame_is_seen_with_those_beside_it_and_no_others(temporal):
    model, variables = temporal
    assert model.reach == 4
    video = jnp.asarray(frames(20), jnp.float32)[None, ..., None]
    apply = jax.jit(model.apply)
    before = apply(variables, video)
    after = apply(variables, video.at[:, 10].set(video[:, 10, ::-1]))
    changed = np.flatnonzero(np.abs(np.asarray(after - before)).max((0, 2, 3, 4)) > 1e-6)
    assert changed.tolist() == [6, 8, 10, 11, 14]


def test_beyond_its_ends_a_clip_stands_still():
    clips = jnp.arange(4.0).reshape(1, 4, 1, 1, 1)
    shown = beside_each_frame(clips, (0, -2, 1), range(4))
    assert shown[0, :, 0, 0].tolist() == [[0, 0, 1], [1, 0, 2], [2, 0, 3], [3, 1, 3]]
    middle = beside_each_frame(clips, (0, -1, 1), (1, 2))
    assert middle[0, :, 0, 0].tolist() == [[1, 0, 2], [2, 1, 3]]


def test_in_training_only_frames_with_their_whole_context_are_segmented(temporal):
    model, variables = temporal
    video = jnp.asarray(frames(11), jnp.float32)[None, ..., None]

    def trained_on(video):
        return model.apply(variables, video, train=True, mutable=["batch_stats"])[0]

    logits = trained_on(video)
    assert logits.shape[1] == 3
    assert trained_on(video[:, :9]).shape[1] == 1
    assert trained_on(video[:, :8]).shape[1] == 8  # Too short a clip is shown as it is.
    assert model.apply(variables, video).shape[1] == 11
    # Frames that are not in it have no part in it.
    seen, outlined = model.training_frames(9)
    assert (list(seen), list(outlined)) == ([0, 3, 4, 6, 8], [4])
    shown = jnp.zeros_like(video[:, :9]).at[:, jnp.array(seen)].set(video[:, jnp.array(seen)])
    np.testing.assert_allclose(trained_on(shown), trained_on(video[:, :9]), atol=1e-6)


@pytest.mark.parametrize("num_frames", [1, 30, 100])
def test_chunks_of_a_clip_are_those_of_the_whole_clip(temporal, tmp_path, num_frames):
    model, variables = temporal
    path = tmp_path / "temporal.safetensors"
    fields = {"name": "unet", "channels": [2, 4], "context": [-4, -1, 2, 4]}
    save_variables(path, variables, {"model": json.dumps(fields)})
    teacher = load_teacher("unet", weights=path)
    clip = frames(num_frames)
    video = jnp.asarray(clip, jnp.float32)[None, ..., None]
    wanted = jax.nn.sigmoid(jax.jit(model.apply)(variables, video))
    np.testing.assert_allclose(teacher(clip), wanted[0], atol=1e-5)
    masks = predict_clips(LoadedNetwork(model, variables), clip[None])
    np.testing.assert_allclose(masks[0] / 255, wanted[0], atol=0.5 / 255 + 1e-5)


def test_pure_form_gives_the_same_inside_another_jitted_function(weights):
    teacher = load_teacher("unet", weights=weights)
    clip = frames(3)
    inside = jax.jit(lambda frames: teacher.apply_fn(frames) * 1)(jnp.asarray(clip, jnp.float32))
    np.testing.assert_allclose(inside, teacher(clip), atol=1e-6)


def test_teacher_is_a_teacher_and_its_fingerprint_follows_the_weights(weights):
    teacher = load_teacher("unet", weights=weights)
    assert isinstance(teacher, Teacher)
    variables, metadata = load_variables(weights)
    assert load_teacher("unet", weights=weights).fingerprint == teacher.fingerprint
    variables["params"]["head"]["bias"] = variables["params"]["head"]["bias"] + 1
    save_variables(weights, variables, metadata)
    changed = load_teacher("unet", weights=weights).fingerprint
    assert changed != teacher.fingerprint
    assert changed.startswith("unet-") and len(changed) == len("unet-") + 12


def test_missing_weights_say_how_to_train_them(tmp_path):
    with pytest.raises(UserError, match=r"absent.safetensors.*main.py --config=configs/teacher.py"):
        load_teacher("unet", weights=tmp_path / "absent.safetensors")


def test_weights_of_another_model_are_an_error(weights):
    variables, _ = load_variables(weights)
    save_variables(weights, variables, {"model": '{"name": "convlstm", "blocks": 1, "layers": 1}'})
    with pytest.raises(UserError, match=r"unet\.safetensors: .*'convlstm', which is no U-Net"):
        load_teacher("unet", weights=weights)


def test_weights_that_do_not_fit_the_header_are_an_error(weights):
    variables, _ = load_variables(weights)
    save_variables(weights, variables, {"model": '{"name": "unet", "channels": [2, 6]}'})
    with pytest.raises(
        UserError, match=r"down_1_0_norm/mean is float32 \(4,\), expected .* \(6,\)"
    ):
        load_teacher("unet", weights=weights)


def test_unknown_teacher_is_an_error():
    with pytest.raises(UserError, match=r"config.teacher.name='vgg' is unknown; use one of"):
        load_teacher("vgg")
