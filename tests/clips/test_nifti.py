import gzip
import sys

import nibabel
import numpy as np
import pytest

from echodfkd_jax.clips import nifti
from echodfkd_jax.errors import UserError
from tests.clips.camus_folder import save

VALUES = np.random.default_rng(0).integers(0, 256, (4, 5, 7), np.uint8)  # t, y, x


def read(tmp_path, values=VALUES, name="a.nii.gz", **header):
    save(tmp_path / name, values, **header)
    return nifti.read_nifti(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii"])
def test_x_runs_to_the_right_and_y_down(tmp_path, name):
    found = read(tmp_path, name=name, spacing_mm=(0.25, 0.5))
    assert nibabel.load(tmp_path / name).shape == (7, 5, 4)
    np.testing.assert_array_equal(nifti.frames(found), VALUES)
    assert found.spacing_mm == (0.25, 0.5)
    assert found.axes == ((-1, 0, 0), (0, -1, 0))


def test_a_picture_is_a_clip_of_one_frame(tmp_path):
    np.testing.assert_array_equal(nifti.frames(read(tmp_path, VALUES[0])), VALUES[:1])


def test_an_axis_of_one_slice_is_dropped(tmp_path):
    nibabel.save(nibabel.Nifti1Image(VALUES.T[:, :, None], np.eye(4)), tmp_path / "a.nii")
    np.testing.assert_array_equal(nifti.frames(nifti.read_nifti(tmp_path / "a.nii")), VALUES)


def test_scaled_and_float_values_are_rounded(tmp_path):
    image = nibabel.Nifti1Image(VALUES.T.astype(np.float32) + 0.25 * (VALUES.T < 255), np.eye(4))
    image.set_data_dtype(np.int16)
    nibabel.save(image, tmp_path / "a.nii.gz")
    found = nifti.read_nifti(tmp_path / "a.nii.gz")
    assert found.values.dtype == np.float64
    np.testing.assert_array_equal(nifti.frames(found), VALUES)


def test_a_header_without_axes_is_taken(tmp_path):
    image = nibabel.Nifti1Image(VALUES.T, None)
    image.header.set_zooms((0.5, 0.25, 1.0))
    nibabel.save(image, tmp_path / "a.nii")
    found = nifti.read_nifti(tmp_path / "a.nii")
    assert (found.spacing_mm, found.axes) == ((0.25, 0.5), None)


@pytest.mark.parametrize("pair", [(0.5, 0.25), (0.25, 0.25)])
def test_a_header_that_contradicts_itself_is_refused(tmp_path, pair):
    image = nibabel.Nifti1Image(VALUES.T, np.diag([0.25, 0.5, 1, 1]))
    image.header.set_zooms((*pair, 1.0))
    image.header.set_sform(np.diag([0.25, 0.5, 1, 1]), code=1)
    image.to_filename(tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[80:88] = np.array(pair, np.float32).tobytes()  # pixdim of x and y
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.nii: the header contradicts itself: pixels are 0\."):
        nifti.read_nifti(tmp_path / "a.nii")


@pytest.mark.parametrize("size", [0.0, float("nan"), 5.0])
def test_sizes_of_pixels_that_cannot_be(tmp_path, size):
    image = nibabel.Nifti1Image(VALUES.T, None)
    image.to_filename(tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[80:84] = np.float32(size).tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.nii: pixels of .* mm cannot be; expected sizes above"):
        nifti.read_nifti(tmp_path / "a.nii")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((4, 5, 7), -1, np.int16), "grey values are -1 to -1; expected 0 to 255"),
        (np.full((4, 5, 7), 300, np.int16), "grey values are 300 to 300"),
        (np.full((4, 5, 7), np.nan, np.float32), "grey values are nan to nan"),
    ],
)
def test_what_is_no_grey(tmp_path, values, message):
    with pytest.raises(UserError, match=message):
        nifti.frames(read(tmp_path, values))


def test_labels(tmp_path):
    labels = VALUES % 4
    np.testing.assert_array_equal(nifti.labels(read(tmp_path, labels), 3), labels)
    with pytest.raises(UserError, match=r"labels are 0 to 3; expected 0 to 2"):
        nifti.labels(read(tmp_path, labels), 2)
    soft = read(tmp_path, labels.astype(np.float32) / 2)
    with pytest.raises(UserError, match="some of them no whole numbers; expected 0 to 3"):
        nifti.labels(soft, 3)


def damaged():
    whole = nibabel.Nifti1Image(VALUES.T, np.eye(4)).to_bytes()
    zipped = gzip.compress(whole)
    many = bytearray(whole)
    many[40:56] = np.array([3, 30000, 30000, 30000, 1, 1, 1, 1], np.int16).tobytes()
    return {
        "empty.nii.gz": b"",
        "text.nii.gz": b"no picture",
        "halved.nii.gz": zipped[: len(zipped) // 2],
        "halved.nii": whole[: len(whole) - 50],
        "many.nii": bytes(many),
        "many.nii.gz": gzip.compress(bytes(many)),
        "header.nii": whole[:100],
    }


@pytest.mark.parametrize("name", damaged())
def test_a_damaged_file_is_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(damaged()[name])
    with pytest.raises(UserError, match=name) as caught:
        nifti.read_nifti(tmp_path / name)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"a\.nii\.gz: no such file"):
        nifti.read_nifti(tmp_path / "a.nii.gz")


def test_other_shapes_are_named(tmp_path):
    nibabel.save(
        nibabel.Nifti1Image(np.zeros((2, 3, 4, 5), np.uint8), np.eye(4)), tmp_path / "a.nii"
    )
    with pytest.raises(UserError, match=r"holds uint8\[2, 3, 4, 5\]; expected numbers \(x, y\)"):
        nifti.read_nifti(tmp_path / "a.nii")


def test_without_nibabel_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(UserError, match=r"needs nibabel; pip install 'echodfkd_jax\[nifti\]'"):
        nifti.read_nifti(tmp_path / "a.nii.gz")
