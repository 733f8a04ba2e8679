import pickle

import numpy as np
import pytest

from echodfkd_jax.datasets import labels
from echodfkd_jax.datasets.recipe import Recipe
from echodfkd_jax.errors import UserError
from echodfkd_jax.types import Clip
from tests.datasets import stand_ins

RECIPE = Recipe("generator")


def _clip(num_frames=2, teacher_mask=None):
    return Clip(
        name="a",
        frames=np.arange(num_frames * 9, dtype=np.uint8).reshape(num_frames, 3, 3),
        fps=50.0,
        ef_percent=np.nan,
        edv_ml=np.nan,
        esv_ml=np.nan,
        ed_frame=-1,
        es_frame=-1,
        reference_frames=np.zeros(0, np.int32),
        reference_masks=np.zeros((0, 3, 3, 1), bool),
        teacher_mask=teacher_mask,
    )


def test_kept_mask_comes_back(tmp_path):
    cache = labels.LabelCache(tmp_path / "labels")
    masks = np.stack([_clip().frames] * 2, axis=-1)
    assert cache.get(_clip(), 2) is None
    cache.put(_clip(), masks)
    np.testing.assert_array_equal(cache.get(_clip(), 2), masks)
    assert cache.get(_clip(), 1) is None  # Of other structures.
    assert [path.name for path in cache.folder.iterdir()] == ["a.npz"]


def test_mask_of_another_length_is_not_used(tmp_path):
    cache = labels.LabelCache(tmp_path)
    cache.put(_clip(2), _clip(2).frames[..., None])
    assert cache.get(_clip(3), 1) is None


@pytest.mark.parametrize("content", [b"", b"\0" * 300, b"PK\x03\x04 half a file"])
def test_damaged_file_is_made_again(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    assert labels.LabelCache(tmp_path).get(_clip(), 1) is None


def test_caches_of_other_teachers_are_apart(tmp_path):
    folders = {
        labels.LabelCache.for_identities(tmp_path, {"teacher": name}).folder for name in ("a", "b")
    }
    assert len(folders) == 2


def test_clip_with_a_mask_is_not_labelled_again(tmp_path, monkeypatch):
    teacher = stand_ins.use(monkeypatch, stand_ins.CountingTeacher())
    clip = _clip(teacher_mask=np.full((2, 3, 3, 1), 7, np.uint8))
    lazy = labels.LazyTeacher('{"name": "unet"}')
    shard = labels.LabelledShard([clip], lazy, labels.LabelCache(tmp_path), RECIPE, lambda: None)
    ((key, example),) = shard()
    assert key == "a"
    assert (example["teacher_mask"] == 7).all()
    assert teacher.num_clips == 0


def test_probabilities_are_rounded(tmp_path, monkeypatch):
    teacher = stand_ins.CountingTeacher()
    teacher.apply_fn = lambda frames: 0 * frames[..., None] + 100.6 / 255
    stand_ins.use(monkeypatch, teacher)
    lazy = labels.LazyTeacher('{"name": "unet"}')
    shard = labels.LabelledShard([_clip()], lazy, labels.LabelCache(tmp_path), RECIPE, lambda: None)
    ((_, example),) = shard()
    assert np.unique(example["teacher_mask"]).tolist() == [101]


def test_teacher_is_loaded_again_after_pickling(monkeypatch):
    stand_ins.use(monkeypatch, stand_ins.CountingTeacher())
    lazy = labels.LazyTeacher('{"name": "unet"}')
    assert lazy.fingerprint == "unet-aaaaaaaaaaaa"
    stand_ins.use(monkeypatch, stand_ins.CountingTeacher("unet-bbbbbbbbbbbb"))
    assert pickle.loads(pickle.dumps(lazy)).fingerprint == "unet-bbbbbbbbbbbb"


def test_weights_are_looked_for_beside_the_clips(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "manual"
    folder.mkdir()
    (folder / "weights.pt").touch()
    options = {"name": "deeplabv3", "weights": "weights.pt", "dtype": ""}
    beside = f'{{"name": "deeplabv3", "weights": "{folder / "weights.pt"}"}}'
    assert labels.LazyTeacher.from_options(options, folder).options == beside
    (tmp_path / "weights.pt").touch()
    here = '{"name": "deeplabv3", "weights": "weights.pt"}'
    assert labels.LazyTeacher.from_options(options, folder).options == here


def test_precomputed_masks_are_those_of_the_clips_folder(tmp_path):
    folder = tmp_path / "EchoNet-Dynamic"
    folder.mkdir()
    (folder / "FileList.csv").touch()
    teacher = labels.LazyTeacher.from_options({"name": "precomputed", "weights": ""}, tmp_path)
    assert teacher.mask_folder == folder / "TeacherMasks"
    assert labels.LazyTeacher('{"name": "unet"}').mask_folder is None


def test_a_teacher_that_does_not_know_a_structure_is_named(tmp_path, monkeypatch):
    stand_ins.use(monkeypatch, stand_ins.CountingTeacher())
    lazy = labels.LazyTeacher('{"name": "unet"}')
    with pytest.raises(UserError, match=r"structures=\('lv', 'la'\): teacher 'unet-a.* no 'la'"):
        lazy.label(_clip(), ("lv", "la"))
