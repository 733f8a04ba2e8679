"""NIfTI, COCO and LabelMe read back by other people's packages; the seam."""

import gzip
import json

import cv2
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.viewers import formats
from echodfkd_jax.interop.viewers.coco import run_lengths
from tests.interop.viewers import outlined_clip
from tests.interop.viewers.outlined_clip import NUM_FRAMES

ALL = ("lv", "lv_myocardium", "la", "rv", "ra")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = outlined_clip.write(tmp_path_factory.mktemp("clip") / "clip.dcm")
    return outlined_clip.outlined(path, structures=ALL)


def written(folder, clip, name):
    assert formats.write(folder, clip, formats.open_formats([name])) == []
    return folder


def test_labels_come_back_with_their_spacing_and_rate(tmp_path, clip):
    nibabel = pytest.importorskip("nibabel")
    written(tmp_path, clip, "nifti")
    frames, labels = (nibabel.load(tmp_path / f"clip{s}.nii.gz") for s in ("", ".seg"))
    assert frames.shape == labels.shape == (*clip.frames.shape[:0:-1], 1, NUM_FRAMES)
    read = np.asarray(frames.dataobj)[:, :, 0].transpose(2, 1, 0)
    np.testing.assert_array_equal(read, clip.frames)
    assert labels.header.get_xyzt_units() == ("mm", "sec")
    assert labels.header.get_zooms() == pytest.approx((0.5, 0.5, 1.0, 0.02))
    assert labels.header.get_intent()[0] == "label"
    (extension,) = labels.header.extensions
    about = json.loads(extension.get_content().decode())
    assert about["labels"]["2"] == "Left ventricular myocardium"
    assert "not a medical device" in about["notice"]


def test_a_label_is_that_of_the_surest_mask(tmp_path, clip):
    nibabel = pytest.importorskip("nibabel")
    written(tmp_path, clip, "nifti")
    labels = np.asarray(nibabel.load(tmp_path / "clip.seg.nii.gz").dataobj)
    labels = labels[:, :, 0].transpose(2, 1, 0)
    inside = np.stack([clip.inside(structure) for structure in ALL], axis=-1)
    alone = inside.sum(axis=-1) == 1
    np.testing.assert_array_equal(labels[alone], 1 + inside[alone].argmax(axis=-1))
    assert not labels[~inside.any(axis=-1)].any()
    assert set(np.unique(labels)) == {0, 1, 2, 3, 4, 5}
    soft = np.stack([clip.masks(structure) for structure in ALL], axis=-1)
    np.testing.assert_array_equal(labels[labels > 0], 1 + soft[labels > 0].argmax(axis=-1))


def test_pixels_of_unknown_size_have_no_unit(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    path = outlined_clip.write(tmp_path / "clip.dcm", spacing=False)
    written(tmp_path, outlined_clip.outlined(path), "nifti")
    header = nibabel.load(tmp_path / "clip.seg.nii.gz").header
    assert header.get_xyzt_units() == ("unknown", "sec")
    assert header["sform_code"] == header["qform_code"] == 0
    assert b"mm" not in gzip.decompress((tmp_path / "clip.seg.nii.gz").read_bytes())[:348]


def test_the_same_clip_gives_the_same_nifti(tmp_path, clip):
    pytest.importorskip("nibabel")
    for name in ("a", "b"):
        written(tmp_path / name, clip, "nifti")
    one, other = ((tmp_path / name / "clip.seg.nii.gz").read_bytes() for name in "ab")
    assert one == other


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_masks_of_coco_are_exact(tmp_path, clip):
    coco = pytest.importorskip("pycocotools.coco")
    written(tmp_path, clip, "coco")
    read = coco.COCO(tmp_path / "clip.coco" / "annotations.json")
    assert [read.cats[number]["name"] for number in sorted(read.cats)] == list(ALL)
    for number, structure in enumerate(ALL, start=1):
        inside = clip.inside(structure)
        for frame in (0, 3, 12):
            (annotation,) = read.loadAnns(read.getAnnIds(imgIds=[frame + 1], catIds=[number]))
            np.testing.assert_array_equal(read.annToMask(annotation) > 0, inside[frame])
            assert annotation["area"] == inside[frame].sum()
            x, y, width, height = annotation["bbox"]
            assert inside[frame][y : y + height, x : x + width].sum() == annotation["area"]
    assert [read.imgs[frame + 1]["phase"] for frame in (3, 12, 5)] == ["ED", "ES", None]


def test_pictures_of_coco_are_the_frames(tmp_path, clip):
    folder = written(tmp_path, clip, "coco") / "clip.coco"
    images = json.loads((folder / "annotations.json").read_text())["images"]
    assert len(images) == NUM_FRAMES
    for image in images[::10]:
        grey = cv2.imread(str(folder / image["file_name"]), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(grey, clip.frames[image["frame"]])


def test_run_lengths_begin_outside():
    mask = np.array([[1, 0], [1, 1]], bool)
    assert run_lengths(mask) == [0, 2, 1, 1]
    assert run_lengths(~mask) == [2, 1, 1]
    assert run_lengths(np.zeros((2, 3), bool)) == [6]


def test_polygons_of_labelme_give_the_masks(tmp_path, clip):
    folder = written(tmp_path, clip, "labelme") / "clip.labelme"
    for frame in (3, 12):
        content = json.loads((folder / f"{frame:06d}.json").read_text())
        assert (folder / content["imagePath"]).is_file()
        assert content["flags"] == {"ED": frame == 3, "ES": frame == 12}
        for structure in ALL:
            shapes = [shape for shape in content["shapes"] if shape["label"] == structure]
            filled = np.zeros((content["imageHeight"], content["imageWidth"]), np.uint8)
            for shape in shapes:
                cv2.fillPoly(filled, [np.int32(shape["points"])], 1)
            np.testing.assert_array_equal(filled > 0, clip.inside(structure)[frame])


class Areas:
    """A format of one's own."""

    def files(self, clip):
        if clip.frames.shape[0] > 1000:
            raise UserError("too long")
        return {".areas.txt": str(int(clip.inside("lv").sum())).encode()}


def test_a_format_of_ones_own(tmp_path, clip):
    made = formats.open_formats([f"{__name__}:Areas"])
    assert all(isinstance(one, formats.Format) for one in made.values())
    assert formats.write(tmp_path, clip, made) == []
    assert int((tmp_path / "clip.areas.txt").read_text()) == clip.inside("lv").sum()


def test_own_formats_are_formats():
    pytest.importorskip("highdicom")
    assert all(
        isinstance(one, formats.Format)
        for one in formats.open_formats(list(formats.FORMATS)).values()
    )


def test_a_clip_that_is_no_dicom_is_told_and_the_others_are_written(tmp_path, clip):
    pytest.importorskip("highdicom")
    frames = np.savez(tmp_path / "clip.npz", frames=clip.frames) or tmp_path / "clip.npz"
    other = outlined_clip.outlined(frames)
    notes = formats.write(tmp_path, other, formats.open_formats(["dicom", "labelme"]))
    assert notes == ["not written as dicom: it is of no DICOM file"]
    assert (tmp_path / "clip.labelme" / "000000.json").is_file()
    assert not (tmp_path / "clip.seg.dcm").exists()


@pytest.mark.parametrize(("name", "module"), [("dicom", "highdicom"), ("nifti", "nibabel")])
def test_a_missing_package_is_one_line(monkeypatch, name, module):
    def gone(wanted):
        raise ModuleNotFoundError(wanted)

    monkeypatch.setattr(formats.importlib, "import_module", gone)
    with pytest.raises(UserError, match=rf"needs {module}; pip install 'echodfkd_jax\[viewers\]'"):
        getattr(__import__(f"echodfkd_jax.interop.viewers.{name}", fromlist=["x"]), name.title())()


def test_an_unknown_format_is_named():
    with pytest.raises(UserError, match=r"config\.predict\.formats='tiff' is unknown"):
        formats.open_formats(["tiff"])


def test_structures_of_ones_own_come_after_the_known_ones():
    structures = ("lv", "valve", "la", "lung")
    numbers = [formats.number_of(name, structures) for name in structures]
    assert numbers == [1, 6, 3, 7]
