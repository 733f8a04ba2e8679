import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.teachers import load_teacher
from echodfkd_jax.types import Clip

MASK = np.array([[[0, 80], [128, 255]]], np.uint8)  # one frame of 2x2 pixels


def clip(name: str, shape=(1, 2, 2)) -> Clip:
    return Clip(
        name=name,
        frames=np.zeros(shape, np.uint8),
        fps=50.0,
        ef_percent=float("nan"),
        edv_ml=float("nan"),
        esv_ml=float("nan"),
        ed_frame=-1,
        es_frame=-1,
        reference_frames=np.zeros(0, np.int32),
        reference_masks=np.zeros((0, *shape[1:]), bool),
    )


def test_soft_masks_come_back_unchanged(tmp_path):
    masks = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    np.savez_compressed(tmp_path / "a.seg.npz", masks)
    teacher = load_teacher("precomputed", weights=str(tmp_path))
    np.testing.assert_array_equal(teacher.label(clip("a", (4, 8, 8)))[..., 0], masks)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (MASK, [[[0, 80], [128, 255]]]),
        (MASK[:, None], [[[0, 80], [128, 255]]]),
        (MASK > 80, [[[0, 0], [255, 255]]]),
        (np.array([[[0.0, 0.2], [0.5, 1.0]]]), [[[0, 51], [128, 255]]]),
    ],
    ids=["uint8", "with channel", "bool", "float"],
)
def test_reads_masks_of_several_kinds(tmp_path, stored, expected):
    np.save(tmp_path / "a.npy", stored)
    teacher = load_teacher("precomputed", weights=str(tmp_path))
    np.testing.assert_array_equal(teacher.label(clip("a"))[..., 0], expected)


def test_clip_without_masks_is_named(tmp_path):
    np.save(tmp_path / "a.npy", MASK)
    teacher = load_teacher("precomputed", weights=str(tmp_path))
    with pytest.raises(UserError, match=r"no masks for clip b; expected b\.seg\.npz or b\.npy"):
        teacher.clip_probabilities(clip("b"))


def test_masks_of_another_length_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", MASK)
    teacher = load_teacher("precomputed", weights=str(tmp_path))
    with pytest.raises(UserError, match=r"a\.npy: masks of shape \(1, 2, 2\) .* \(3, 2, 2\)"):
        teacher.clip_probabilities(clip("a", (3, 2, 2)))


def test_truncated_file_is_named(tmp_path):
    np.save(tmp_path / "a.npy", MASK)
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:-2])
    teacher = load_teacher("precomputed", weights=str(tmp_path))
    with pytest.raises(UserError, match=r"a\.npy"):
        teacher.clip_probabilities(clip("a"))


def test_frames_alone_are_not_enough(tmp_path):
    np.save(tmp_path / "a.npy", MASK)
    teacher = load_teacher("precomputed", weights=str(tmp_path))
    with pytest.raises(UserError, match="by the clip's name"):
        teacher(MASK)
    with pytest.raises(UserError, match="by the clip's name"):
        teacher.apply_fn(jnp.zeros((1, 2, 2)))


@pytest.mark.parametrize("suffix", [".npy", ".seg.npz"])
def test_fingerprint_follows_the_content(tmp_path, suffix):
    def fingerprint(folder: str, masks: np.ndarray) -> str:
        directory = tmp_path / folder
        directory.mkdir()
        with (directory / f"a{suffix}").open("wb") as file:
            np.save(file, masks) if suffix == ".npy" else np.savez(file, masks)
        return load_teacher("precomputed", weights=str(directory)).fingerprint

    first, same, other = fingerprint("1", MASK), fingerprint("2", MASK), fingerprint("3", MASK + 1)
    assert first == same != other


def test_empty_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="no mask files"):
        load_teacher("precomputed", weights=str(tmp_path))


def test_folder_must_exist():
    with pytest.raises(UserError, match=r"config\.teacher\.weights='none' is no folder"):
        load_teacher("precomputed", weights="none")
