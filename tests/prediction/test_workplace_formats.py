"""A clip on the page as files for other viewers: those of `predict`, and the corrected ones."""

import json

import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.viewers import formats
from echodfkd_jax.prediction.clip import describe, outlined
from echodfkd_jax.prediction.workplace import WorkClip
from tests.interop.viewers import outlined_clip
from tests.interop.viewers.outlined_clip import BOX
from tests.prediction.made_prediction import NUM_FRAMES, predicted, work_clip
from tests.prediction.test_corrections import SQUARE

CORRECTED = {"outlines": {"12": SQUARE}, "beats": None}
# They need no package of their own.
PLAIN = formats.open_formats(["coco", "labelme"])


def test_what_is_offered_is_what_is_installed_and_fits_the_clip(monkeypatch):
    assert work_clip().opened()["formats"] == []
    assert work_clip(formats=PLAIN).opened()["formats"] == ["coco", "labelme"]
    monkeypatch.setattr(formats, "require", _missing)
    assert list(formats.offered()) == ["coco", "labelme"]
    with pytest.raises(UserError, match=r"config\.predict\.formats"):
        formats.offered(["jpeg"])


def _missing(module, for_what):
    raise UserError(f"{for_what} needs {module}")


def test_files_are_those_of_a_prediction(tmp_path):
    found = predicted(side=160)
    record = describe(found, "clip", "clip.avi", {"made": "up"}, "square")
    WorkClip(found, record, None, PLAIN).write_results(None, tmp_path, "clip", "coco")
    wanted = PLAIN["coco"].files(outlined(found, None, record))
    assert len(wanted) == NUM_FRAMES + 1
    for suffix, content in wanted.items():
        assert (tmp_path / f"clip{suffix}").read_bytes() == content
    made = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(made) == len(wanted)


def test_a_correction_lies_beside_the_prediction(tmp_path):
    work_clip(formats=PLAIN).write_results(CORRECTED, tmp_path, "clip", "coco")
    first, second = (
        json.loads((tmp_path / name / "annotations.json").read_text())["annotations"]
        for name in ("clip.coco", "clip.corrected.coco")
    )
    areas = [[one["area"] for one in annotations] for annotations in (first, second)]
    assert np.flatnonzero(np.not_equal(*areas)).tolist() == [12]


def test_another_format_is_refused(tmp_path):
    with pytest.raises(UserError, match="clip: 'dicom' is not offered; this clip goes as coco"):
        work_clip(formats=PLAIN).write_results(None, tmp_path, "clip", "dicom")
    assert list(tmp_path.iterdir()) == []


def test_a_dicom_clip_needs_its_file_no_more(tmp_path):
    highdicom = pytest.importorskip("highdicom")
    path = outlined_clip.write(tmp_path / "clip.dcm")
    found = outlined_clip.predicted(path)
    record = outlined_clip.record(found, path)
    size = path.stat().st_size
    clip = WorkClip(found, record, path, formats.open_formats(["dicom"]))
    path.unlink()
    assert clip.opened()["formats"] == ["dicom"]
    assert clip.num_bytes < size  # Neither the pictures of the file nor unpacked pixels.
    clip.write_results(CORRECTED, tmp_path, "clip", "dicom")
    names = {
        f"{stem}{end}" for stem in ("clip", "clip.corrected") for end in (".seg.dcm", ".sr.dcm")
    }
    assert {path.name for path in tmp_path.iterdir()} == names
    first, second = (
        highdicom.seg.segread(tmp_path / f"{stem}.seg.dcm") for stem in ("clip", "clip.corrected")
    )
    assert str(first.PatientName) == outlined_clip.HEADER["PatientName"]
    masks = found.in_file() > 127
    rows, columns = masks.shape[1:]
    np.testing.assert_array_equal(first.pixel_array.reshape(-1, rows, columns) > 0, masks)
    changed = (second.pixel_array != first.pixel_array).any(axis=(1, 2))
    assert np.flatnonzero(changed).tolist() == [12]
    assert not second.pixel_array[:, : BOX.top].any()
