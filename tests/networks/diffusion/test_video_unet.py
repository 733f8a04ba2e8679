import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from echodfkd_jax.networks.diffusion.layers import TimeConv3
from echodfkd_jax.networks.diffusion.video_unet import VideoUNet, with_frame
from tests import factories
from tests.networks.diffusion import golden

NETWORK = VideoUNet()
AS_PUBLISHED = VideoUNet(pixel_major_context=True)
SHAPES = tuple(
    jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((1, 2, 16, 16, 8), (1,), (1, 1, 1))
)
SMALL = VideoUNet(2, (4, 8), (2, 2), (True, False), layers=1, groups=2)


@pytest.fixture(scope="module")
def params():
    return golden.template(NETWORK, *SHAPES)["params"]


@pytest.fixture(scope="module")
def arrays():
    return golden.arrays("lvdm")


@pytest.fixture(scope="module")
def weights():
    return golden.variables(NETWORK, "lvdm", "lvdm", *SHAPES)


def inputs(arrays, *rows):
    """Padded clips with their conditioning frame, their times and contexts.

    Rows are of noisy clip (c, t, h, w), name of the frame, EF, time.
    """
    noisy, frames, efs, times = zip(*rows)
    videos = jnp.moveaxis(jnp.stack(noisy), 1, -1)
    frames = golden.channels_last(jnp.stack([arrays[name] for name in frames]))
    edges = ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0))
    padded = jnp.pad(with_frame(videos, frames), edges, mode="edge")
    return padded, jnp.array(times), jnp.array(efs)[:, None, None]


def run(network, variables, *rows_inputs):
    """Outputs cropped, in PyTorch's order of axes."""
    outputs = jax.jit(network.apply)(variables, *rows_inputs)
    return jnp.moveaxis(outputs[:, :, 1:-1, 1:-1], -1, 1)


@pytest.fixture(scope="module")
def five(arrays):
    a, b, six = (arrays[f"noisy_{name}"] for name in "ab6")
    return inputs(
        arrays,
        (a, "cond_a", 0.3, 480),
        (a, "cond_a", 0.65, 480),
        (b, "cond_b", 0.65, 480),
        (six[:, :4], "cond_a", 0.65, 480),
        (six[:, 2:], "cond_a", 0.65, 480),
    )


@pytest.mark.slow
def test_the_recipe_makes_the_recorded_weights():
    golden.check_recipe("lvdm", "lvdm")


@pytest.mark.parametrize(
    "part, count",
    [
        ("", 143_830_186),
        ("conv_in", 9_344),
        ("time_embedding", 328_704),
        ("add_embedding", 263_680),
        ("down_blocks", 39_248_526),
        ("mid_block", 28_879_875),
        ("up_blocks", 75_095_189),
        ("conv_out", 4_612),
        ("conv_norm_out", 256),
    ],
)
def test_every_part_has_the_published_number_of_weights(params, part, count):
    parts = {name: leaf for name, leaf in params.items() if name.startswith(part)}
    assert golden.num_weights({"params": parts}) == count


@pytest.mark.slow
def test_every_clip_of_a_batch_gets_the_published_output_of_a_single_clip(weights, arrays, five):
    got = run(NETWORK, weights, *five)
    names = ("a_ef30_t480", "a_ef65_t480", "b_ef65_t480", "stitch_window0", "stitch_window1")
    for output, name in zip(got, names, strict=True):
        np.testing.assert_allclose(output, arrays[name], atol=golden.ATOL, err_msg=name)


@pytest.mark.slow
def test_longer_clips_get_the_published_output(weights, arrays):
    got = run(NETWORK, weights, *inputs(arrays, (arrays["noisy_6"], "cond_a", 0.65, 945)))
    np.testing.assert_allclose(got[0], arrays["six_ef65_t945"], atol=golden.ATOL)


@pytest.mark.slow
def test_a_batch_leaks_as_published_where_that_is_asked_for(weights, arrays):
    rows = ((arrays["noisy_a"], "cond_a", 0.3, 480), (arrays["noisy_b"], "cond_b", 0.65, 480))
    got = run(AS_PUBLISHED, weights, *inputs(arrays, *rows))
    wanted = arrays["batch_ab_ef30_ef65_t480_as_diffusers_0_27_2"]
    np.testing.assert_allclose(got, wanted, atol=golden.ATOL)


@pytest.mark.slow
def test_has_the_published_epsilons(arrays, five):
    variables = golden.variables(NETWORK, "lvdm", "lvdm", *SHAPES, small=True)
    got = run(NETWORK, variables, *five)
    np.testing.assert_allclose(got[0], arrays["epsprobe_a_ef30_t480"], atol=golden.ATOL)


def is_dead(path):
    """What a context of one token leaves without gradient."""
    return (
        path[-3:-1] in (("attn2", "to_q"), ("attn2", "to_k"))
        or (path[-2] == "norm2" and "transformer" in path[-3])
        or path == ("add_embedding", "linear_1", "kernel")
    )


def test_as_many_weights_never_learn_as_published(params):
    flat = traverse_util.flatten_dict(params)
    assert sum(leaf.size for path, leaf in flat.items() if is_dead(path)) == 2_021_632


@pytest.fixture(scope="module")
def small():
    clip, context = golden.normal(0, 2, 3, 4, 6, 3), golden.normal(1, 2, 1, 1)
    times = jnp.array([10, 900])
    return factories.random_weights(SMALL, clip, times, context), clip, times, context


@pytest.mark.slow
def test_all_other_weights_learn(small):
    variables, *clips = small

    def loss(params):
        return jnp.square(SMALL.apply({"params": params}, *clips)).sum()

    gradient = traverse_util.flatten_dict(jax.jit(jax.grad(loss))(variables["params"]))
    for path, leaf in gradient.items():
        assert bool(jnp.any(leaf != 0)) != is_dead(path), path


@pytest.mark.slow
def test_clips_of_a_batch_see_each_others_context_only_where_that_is_asked_for(small):
    variables, clip, times, context = small
    for asked in (False, True):
        network = SMALL.clone(pixel_major_context=asked)
        apply = jax.jit(network.apply)
        before = apply(variables, clip, times, context)
        after = apply(variables, clip, times, context.at[1].add(3))
        assert not np.allclose(before[1], after[1], atol=1e-4)
        assert np.allclose(before[0], after[0], atol=1e-5) != asked


@pytest.mark.slow
def test_several_tokens_are_attended_to(small):
    _, clip, times, _ = small
    tokens = golden.normal(2, 2, 3, 4)
    variables = factories.random_weights(SMALL, clip, times, tokens)
    apply = jax.jit(SMALL.apply)
    outputs = apply(variables, clip, times, tokens)
    assert outputs.shape == (2, 3, 4, 6, 2)
    np.testing.assert_allclose(apply(variables, clip, times, tokens[:, ::-1]), outputs, atol=1e-5)
    assert not np.allclose(apply(variables, clip, times, tokens * 2), outputs, atol=1e-4)


def test_convolution_over_three_frames_is_one_over_time():
    clip = golden.normal(0, 2, 5, 3, 2, 4)
    variables = factories.random_weights(TimeConv3(6), clip)
    got = TimeConv3(6).apply(variables, clip)
    wanted = jax.lax.conv_general_dilated(
        clip,
        variables["params"]["kernel"],
        (1, 1, 1),
        ((1, 1), (0, 0), (0, 0)),
        dimension_numbers=("NTHWC", "THWIO", "NTHWC"),
    )
    np.testing.assert_allclose(got, wanted + variables["params"]["bias"], rtol=1e-4, atol=1e-5)


def test_the_conditioning_frame_is_repeated_behind_the_noise():
    noisy, frame = golden.normal(0, 1, 3, 2, 2, 2), golden.normal(1, 1, 2, 2, 1)
    both = with_frame(noisy, frame)
    np.testing.assert_array_equal(both[..., :2], noisy)
    np.testing.assert_array_equal(both[0, 2, ..., 2:], frame[0])
