"""Ways to store a grey picture in DICOM, against the same stored plainly."""

import cv2
import numpy as np
import pydicom
import pytest
from pydicom import pixels
from pydicom.encaps import encapsulate

from echodfkd_jax.clips import dicom, inputs
from echodfkd_jax.errors import UserError
from tests.clips import jpeg_file
from tests.clips.dicom_file import region, write_dicom

FRAMES = np.random.default_rng(0).integers(0, 256, (4, 20, 30), dtype=np.uint8)
RGB = np.repeat(FRAMES[..., None], 3, axis=-1)
DARK = (FRAMES // 2).astype(np.uint8)


def read(path):
    return dicom.read_dicom(path).frames


def largest_difference(path, frames=FRAMES):
    return np.abs(read(path).astype(int) - frames).max()


@pytest.mark.parametrize(
    ("stored", "tags"),
    [
        (FRAMES.astype(np.uint16) * 4, {"WindowCenter": "512", "WindowWidth": "1024"}),
        (
            FRAMES.astype(np.uint16) * 4 + 300,
            {"WindowCenter": "812", "WindowWidth": "1024", "VOILUTFunction": "LINEAR_EXACT"},
        ),
        (
            FRAMES.astype(np.uint16) * 2,
            {"RescaleSlope": "2", "RescaleIntercept": "-100"}
            | {"WindowCenter": "412", "WindowWidth": "1024"},
        ),
        (
            FRAMES.astype(np.uint16) * 4,
            {"WindowCenter": ["512", "9"], "WindowWidth": ["1024", "2"]},
        ),
        (FRAMES.astype(np.int16) * 4 - 500, {"PixelRepresentation": 1}),
        (FRAMES.astype(np.uint16) * 4, {}),
        (FRAMES.astype(np.uint16) * 100 + 7000, {}),
        (FRAMES.astype(np.uint16) * 257, {}),
        # Windows that are there and show nothing.
        (FRAMES.astype(np.uint16) * 4, {"WindowCenter": "30000", "WindowWidth": "2"}),
        (FRAMES.astype(np.uint16) * 4, {"WindowCenter": "0", "WindowWidth": "0"}),
    ],
)
def test_deep_values_become_the_same_grey(tmp_path, stored, tags):
    assert largest_difference(write_dicom(tmp_path / "a.dcm", stored, **tags)) <= 1


def test_eight_bits_in_sixteen_stay_as_they_are(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", DARK.astype(np.uint16))
    np.testing.assert_array_equal(read(path), DARK)


def test_twelve_bits_that_are_used_keep_their_brightness(tmp_path):
    dim = (FRAMES.astype(np.uint16) * 9) & 0xFFF
    path = write_dicom(tmp_path / "a.dcm", dim, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(read(path), dim >> 4)


def test_a_sigmoid_window(tmp_path):
    tags = {"WindowCenter": "512", "WindowWidth": "256", "VOILUTFunction": "SIGMOID"}
    deep = FRAMES.astype(np.uint16) * 4
    wanted = 255 / (1 + np.exp(-4 * (deep.astype(float) - 512) / 256))
    assert largest_difference(write_dicom(tmp_path / "a.dcm", deep, **tags), wanted) <= 1


def test_a_table_of_grey_values(tmp_path):
    table = pydicom.Dataset()
    table.LUTDescriptor = [256, 0, 8]
    table.LUTData = np.arange(255, -1, -1, dtype="<u2").tobytes()
    path = write_dicom(tmp_path / "a.dcm", FRAMES, VOILUTSequence=[table])
    np.testing.assert_array_equal(read(path), 255 - FRAMES)


def halved(frames):
    """Uncompressed YBR_FULL_422: two brightnesses, then the colours of both."""
    pairs = np.full((*frames.shape[:2], frames.shape[2] // 2, 4), 128, np.uint8)
    pairs[..., 0], pairs[..., 1] = frames[..., 0::2], frames[..., 1::2]
    return pairs.tobytes()


@pytest.mark.parametrize(
    "tags",
    [
        {"PhotometricInterpretation": "YBR_FULL_422", "PixelData": halved(FRAMES)},
        {"PhotometricInterpretation": "YBR_FULL_422"},  # RGB with a wrong tag
        {"PhotometricInterpretation": "YBR_FULL"},
        {
            "PhotometricInterpretation": "YBR_FULL_422",
            "PlanarConfiguration": 1,
            "PixelData": np.moveaxis(RGB, -1, 1).tobytes(),
        },
    ],
)
def test_grey_in_colours_comes_back_as_it_is(tmp_path, tags):
    assert largest_difference(write_dicom(tmp_path / "a.dcm", RGB, **tags)) <= 1


def test_brightness_and_colours_that_are_full(tmp_path):
    ybr = np.stack([FRAMES, *[np.full_like(FRAMES, 128)] * 2], axis=-1)
    path = write_dicom(tmp_path / "a.dcm", ybr, PhotometricInterpretation="YBR_FULL")
    assert largest_difference(path) <= 1


@pytest.mark.parametrize(("bits", "step"), [(8, 1), (16, 257), (16, 1)])
def test_a_palette(tmp_path, bits, step):
    ramp = np.arange(256, dtype=np.uint16) * step
    tags = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        data = ramp.astype("<u2" if bits == 16 else np.uint8).tobytes()
        tags[f"{colour}PaletteColorLookupTableData"] = data
    assert largest_difference(write_dicom(tmp_path / "a.dcm", FRAMES, **tags)) <= 1


SEPIA = np.stack([FRAMES, 0.85 * FRAMES, 0.6 * FRAMES], axis=-1).astype(np.uint8)
FLAGS = (
    {"UltrasoundColorDataPresent": 1},
    {"regions": [region(0, 0, 29, 19, 0.05, 0.05, kind=2)]},
)


@pytest.mark.parametrize("tags", FLAGS)
@pytest.mark.parametrize("stored", [FRAMES, RGB, SEPIA], ids=["grey", "grey in RGB", "sepia"])
def test_what_is_flagged_as_colour_and_has_none_is_read(tmp_path, tags, stored):
    clip = dicom.read_dicom(write_dicom(tmp_path / "a.dcm", stored, **tags))
    wanted = FRAMES if stored is not SEPIA else 0.8663 * FRAMES
    assert np.abs(clip.frames - wanted).max() <= 2
    assert any("its pixels have none" in note for note in clip.notes)


@pytest.mark.parametrize("tags", FLAGS)
@pytest.mark.parametrize("ground", [RGB, SEPIA], ids=["grey", "sepia"])
def test_colour_doppler_is_refused(tmp_path, tags, ground):
    coloured = ground.copy()
    coloured[2, 4:8, 4:8] = (200, 30, 20)
    with pytest.raises(UserError, match="contains colour Doppler"):
        dicom.read_dicom(write_dicom(tmp_path / "a.dcm", coloured, **tags))


def write_compressed(path, pictures, syntax):
    height, width = 16, 16
    plain = np.zeros((len(pictures), height, width), np.uint8)
    dataset = pydicom.dcmread(write_dicom(path, plain))
    dataset.PixelData = encapsulate(pictures)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)
    return path


PICTURE = jpeg_file.jpeg_ls_picture()
COMPRESSED = {
    "lossless": (jpeg_file.lossless_jpeg(PICTURE), pydicom.uid.JPEGLosslessSV1),
    "LS": (jpeg_file.JPEG_LS, pydicom.uid.JPEGLSLossless),
}


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressions_of_the_extra(tmp_path, name):
    pytest.importorskip("libjpeg", reason="pylibjpeg-libjpeg is not installed")
    content, syntax = COMPRESSED[name]
    path = write_compressed(tmp_path / "a.dcm", [content, content], syntax)
    np.testing.assert_array_equal(read(path), np.stack([PICTURE, PICTURE]))


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_missing_decoder_is_named(tmp_path, monkeypatch, name):
    content, syntax = COMPRESSED[name]
    path = write_compressed(tmp_path / "a.dcm", [content, content], syntax)
    missing = property(lambda self: False)
    monkeypatch.setattr(type(pixels.get_decoder(syntax)), "is_available", missing)
    with pytest.raises(UserError, match=r"JPEG.*pip install pylibjpeg pylibjpeg-libjpeg"):
        dicom.read_dicom(path)


def test_a_video_inside_is_named(tmp_path):
    path = write_compressed(tmp_path / "a.dcm", [b"x" * 99] * 2, pydicom.uid.MPEG4HP41)
    with pytest.raises(UserError, match=r"compressed as MPEG-4.*export the clip again"):
        dicom.read_dicom(path)


@pytest.mark.parametrize("implicit", [True, False])
def test_a_file_without_a_meta_header(tmp_path, implicit):
    dataset = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", FRAMES, FrameTime="20"))
    bare = pydicom.Dataset({element.tag: element for element in dataset})
    path = tmp_path / "IM_0001"
    pydicom.dcmwrite(path, bare, implicit_vr=implicit, little_endian=True)
    assert dicom.is_dicom(path)
    clip = inputs.read_clip(path)
    np.testing.assert_array_equal(clip.frames, FRAMES)
    assert clip.fps == 50


def test_a_compressed_file_without_a_meta_header(tmp_path):
    jpeg = cv2.imencode(".jpg", PICTURE, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    path = write_compressed(tmp_path / "a.dcm", [jpeg, jpeg], pydicom.uid.JPEGBaseline8Bit)
    dataset = pydicom.dcmread(path)
    bare = pydicom.Dataset({element.tag: element for element in dataset})
    pydicom.dcmwrite(tmp_path / "b.dcm", bare, implicit_vr=False, little_endian=True)
    assert largest_difference(tmp_path / "b.dcm", np.stack([PICTURE, PICTURE])) <= 4


def test_a_refusal_says_what_to_do_to_its_end(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", FRAMES)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UserError, match=r"copy the file again, or export the clip again.*\)$"):
        dicom.read_dicom(path)


def test_junk_is_no_dicom(tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"this is no clip, whatever its name is" * 9)
    with pytest.raises(UserError, match=r"a\.dcm: .*export the clip again"):
        dicom.read_dicom(tmp_path / "a.dcm")
