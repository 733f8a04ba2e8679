import json
import pathlib
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.teachers import deeplabv3, load_teacher
from echodfkd_jax.teachers.base import Teacher

TESTDATA = pathlib.Path(__file__).parents[1] / "testdata"


def golden_value(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """The made-up weight behind the golden logits: one seeded generator per key."""
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    x = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)
    if key.endswith("running_var"):
        return (1 + 0.1 * np.abs(x)).astype(np.float32)
    if key.endswith(("running_mean", "bias")):
        return (0.1 * x).astype(np.float32)
    if len(shape) == 1:
        return (1 + 0.1 * x).astype(np.float32)
    return (x * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)


@pytest.fixture(scope="module")
def golden():
    with np.load(TESTDATA / "deeplabv3_resnet50.npz") as file:
        return {key: file[key] for key in file}


@pytest.fixture(scope="module")
def state_dict():
    shapes = json.loads((TESTDATA / "deeplabv3_resnet50_state_dict.json").read_text())
    return {key: golden_value(key, tuple(shape)) for key, shape in shapes.items()}


@pytest.fixture(scope="module")
def teacher(state_dict):
    return deeplabv3.from_state_dict(state_dict, source="golden", batch_size=2)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_is_a_teacher(teacher):
    assert isinstance(teacher, Teacher)


def test_has_the_published_number_of_weights(teacher):
    sizes = [leaf.size for leaf in jax.tree.leaves(teacher.variables["params"])]
    assert sum(sizes) == 39_633_729


def test_imports_all_362_entries(state_dict):
    assert len(state_dict) == 362
    # The network's weights and statistics, and one counter per BatchNorm.
    variables = deeplabv3.variable_shapes()
    counters = sum(key.endswith("num_batches_tracked") for key in state_dict)
    assert len(jax.tree.leaves(variables)) + counters == 362


def test_gives_torchvisions_logits(teacher, golden):
    logits = jax.jit(deeplabv3.frame_logits)(teacher.variables, golden["frames"].astype(np.float32))
    error = np.abs(np.asarray(logits) - golden["logits"]).max()
    assert error / np.abs(golden["logits"]).max() < 1e-5


@pytest.mark.slow
def test_bfloat16_gives_nearly_the_same_masks(teacher, golden):
    frames = jnp.asarray(golden["frames"], jnp.float32)
    exact = golden["logits"]
    logits = deeplabv3.frame_logits(teacher.variables, frames, dtype=jnp.bfloat16)
    rounded = np.asarray(logits)
    assert not np.allclose(rounded, exact, rtol=1e-5)
    # Made-up weights call nearly every pixel positive; the median logit cuts them in half. Measured
    # on a CPU: Dice 0.99995 at logit 0 and 0.9933 at the median.
    for threshold in (0.0, np.median(exact)):
        assert dice(rounded > threshold, exact > threshold) > 0.99


def test_teacher_is_the_sigmoid_of_the_logits_whatever_the_batch_size(teacher, golden):
    frames = golden["frames"][:, :32, :32]
    expected = teacher.apply_fn(jnp.asarray(frames, jnp.float32))
    assert not np.all(np.asarray(expected) == 1)
    # Three frames in batches of two: the last one is half padding.
    np.testing.assert_allclose(teacher(frames), expected, atol=1e-4)


def test_no_frames_give_no_masks(teacher):
    assert teacher(np.zeros((0, 112, 112), np.uint8)).shape == (0, 112, 112, 1)


@pytest.mark.slow
def test_fingerprint_tells_weights_and_types_apart(state_dict, teacher):
    key = "module.classifier.4.bias"
    changed = dict(state_dict, **{key: state_dict[key] + 1})
    other_weights = deeplabv3.from_state_dict(changed, source="golden")
    other_type = deeplabv3.from_state_dict(state_dict, source="golden", dtype="bfloat16")
    again = deeplabv3.from_state_dict(state_dict, source="elsewhere", batch_size=8)
    assert again.fingerprint == teacher.fingerprint
    assert len({t.fingerprint for t in (teacher, other_weights, other_type)}) == 3


def test_missing_entry_is_refused_by_name(state_dict):
    del (broken := dict(state_dict))["module.backbone.layer3.4.conv2.weight"]
    with pytest.raises(UserError, match=r"x\.pt .*module\.backbone\.layer3\.4\.conv2\.weight"):
        deeplabv3.from_state_dict(broken, source="x.pt")


def test_missing_counter_is_refused_by_name(state_dict):
    del (broken := dict(state_dict))["module.backbone.bn1.num_batches_tracked"]
    with pytest.raises(UserError, match=r"module\.backbone\.bn1\.num_batches_tracked"):
        deeplabv3.from_state_dict(broken, source="x.pt")


def test_extra_entry_is_refused_by_name(state_dict):
    extra = dict(state_dict, **{"module.aux_classifier.4.bias": np.zeros(1, np.float32)})
    with pytest.raises(UserError, match=r"lacks: module\.aux_classifier\.4\.bias"):
        deeplabv3.from_state_dict(extra, source="x.pt")


def test_wrong_shape_is_refused_by_name(state_dict):
    wide = dict(state_dict, **{"module.classifier.4.bias": np.zeros(21, np.float32)})
    with pytest.raises(UserError, match=r"module\.classifier\.4\.bias has shape \(21,\)"):
        deeplabv3.from_state_dict(wide, source="x.pt")


def test_keys_need_no_prefix(state_dict, teacher):
    bare = {key.removeprefix("module."): value for key, value in state_dict.items()}
    assert deeplabv3.from_state_dict(bare, source="x").fingerprint == teacher.fingerprint


def test_loads_a_safetensors_file(tmp_path, state_dict, teacher):
    import safetensors.numpy

    path = tmp_path / "deeplabv3.safetensors"
    safetensors.numpy.save_file(state_dict, path)
    assert deeplabv3.load(str(path)).fingerprint == teacher.fingerprint


def test_loads_a_checkpoint_as_it_was_published(tmp_path, state_dict, teacher):
    torch = pytest.importorskip("torch")
    tensors = {key: torch.from_numpy(value) for key, value in state_dict.items()}
    path = tmp_path / "deeplabv3_resnet50_random.pt"
    torch.save({"epoch": 39, "best_loss": 0.1, "state_dict": tensors}, path)
    assert load_teacher("deeplabv3", weights=str(path)).fingerprint == teacher.fingerprint


def test_weights_must_be_given():
    with pytest.raises(UserError, match=r"config\.teacher\.weights is empty"):
        deeplabv3.load()


def test_unknown_type_is_refused():
    with pytest.raises(
        UserError, match=r"config\.teacher\.dtype='float16'; expected one of float32"
    ):
        deeplabv3.load("x.pt", dtype="float16")
