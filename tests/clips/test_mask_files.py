import numpy as np
import pytest

from echodfkd_jax.clips import mask_files as masks
from echodfkd_jax.errors import UserError

SOFT = np.array([[[0, 51], [128, 255]]], np.uint8)


@pytest.mark.parametrize("content", [SOFT, SOFT[:, None], SOFT[..., None]])
@pytest.mark.parametrize("name", ["a.seg.npz", "a.npy"])
def test_published_shapes(tmp_path, name, content):
    path = tmp_path / name
    (np.savez if name.endswith("npz") else np.save)(path, content)
    assert masks.read_masks(path).tolist() == SOFT.tolist()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (np.array([[[False, True]]]), [[[0, 255]]]),
        (np.array([[[0.0, 0.2, 1.0]]], np.float32), [[[0, 51, 255]]]),
    ],
)
def test_other_types_become_255_times_probability(tmp_path, content, expected):
    np.save(tmp_path / "a.npy", content)
    read = masks.read_masks(tmp_path / "a.npy")
    assert read.dtype == np.uint8
    assert read.tolist() == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"shape \[4, 4\]; expected \(t, h, w\)"),
        (np.zeros((2, 3, 4, 4), np.uint8), r"shape \[2, 3, 4, 4\]"),
        (np.zeros((0, 4, 4), np.uint8), r"shape \[0, 4, 4\]"),
        (np.ones((1, 4, 4), np.uint8), "uint8 masks of 0 and 1"),
        (np.full((1, 4, 4), 1.5), "masks are float64, 1.5 to 1.5"),
        (np.full((1, 4, 4), np.nan), "masks are float64, nan to nan"),
        (np.ones((1, 4, 4), np.int64), "masks are int64"),
    ],
)
def test_what_cannot_be_a_mask_is_refused(tmp_path, content, message):
    np.save(tmp_path / "a.npy", content)
    with pytest.raises(UserError, match=message):
        masks.read_masks(tmp_path / "a.npy")


def test_damaged_file_is_named(tmp_path):
    (tmp_path / "a.seg.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(UserError, match=r"a\.seg\.npz: not readable as NPY or NPZ"):
        masks.read_masks(tmp_path / "a.seg.npz")


def test_pickled_objects_are_not_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(UserError, match="holds Python objects"):
        masks.read_masks(tmp_path / "a.npy")


def test_mask_file_is_found_by_the_clips_name(tmp_path):
    np.savez(tmp_path / "a.seg.npz", SOFT)
    assert masks.find_mask_file(tmp_path, "a") == tmp_path / "a.seg.npz"
    assert masks.find_mask_file(tmp_path, "b") is None
