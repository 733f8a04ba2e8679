import math
import pickle
import re

import nibabel
import numpy as np
import pytest

from echodfkd_jax.clips import camus, camus_info, camus_patient
from echodfkd_jax.errors import UserError
from tests.clips import camus_folder
from tests.clips.camus_folder import NUM_FRAMES, heart, save, write_patient, write_splits

# Of the 90 mm that are shown.
MM_PER_PX = 90 / 112


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    download = tmp_path_factory.mktemp("camus") / "download"
    return camus_folder.build(download / "CAMUS" / "CAMUS_public", views=camus.VIEWS)


def one(tmp_path, **given):
    """A patient in a folder without lists, and where its files are."""
    place = write_patient(tmp_path / "database_nifti", "patient0001", **given)
    return camus.open_folder(tmp_path), place


def left_out(tmp_path, **given):
    """The rule and the reason by which the only patient is left out."""
    (found,) = camus.open_folder(tmp_path, **given).report.left_out()
    assert found["name"] == "patient0001"
    assert len(found["reason"].splitlines()) == 1
    return found["rule"], found["reason"]


def test_a_clip_is_as_its_files_say(folder):
    clip = camus.open_folder(folder)[0]
    assert (clip.name, clip.fps, clip.ef_percent) == ("patient0001_4CH", 40.0, 55.0)
    assert (clip.ed_frame, clip.es_frame) == (0, NUM_FRAMES - 1)
    assert clip.frames.shape == (NUM_FRAMES, 112, 112)
    assert clip.reference_structures == ("lv", "lv_myocardium", "la")
    assert clip.reference_frames.tolist() == list(range(NUM_FRAMES))
    assert clip.reference_masks.shape == (NUM_FRAMES, 112, 112, 3)
    assert clip.teacher_mask is None


def test_pixels_are_square_and_the_apex_is_at_the_top(folder):
    clip = camus.open_folder(folder)[0]
    y, x = np.mgrid[:112, :112]
    for at, part in ((clip.ed_frame, 0.0), (clip.es_frame, 1.0)):
        mask = clip.reference_masks[at, ..., 0]
        a, b = camus_folder.ventricle_mm(part)
        # The middle of the ventricle is 60 mm from the left of 120 and 32 mm from the top of 90.
        assert (x[mask].mean() + 0.5) * MM_PER_PX == pytest.approx(60 - 15, abs=0.5)
        assert (y[mask].mean() + 0.5) * MM_PER_PX == pytest.approx(32, abs=0.5)
        assert np.ptp(x[mask]) * MM_PER_PX == pytest.approx(2 * a, abs=2)
        assert np.ptp(y[mask]) * MM_PER_PX == pytest.approx(2 * b, abs=2)
        assert mask.sum() == pytest.approx(camus_folder.ventricle_area_px(part), rel=0.02)
        assert y[clip.reference_masks[at, ..., 2]].mean() > y[mask].mean() + 30
        # Blood is dark and the wall is bright where the masks say so.
        grey = clip.frames[at]
        assert grey[mask].mean() < 40 < 150 < grey[clip.reference_masks[at, ..., 1]].mean()


def test_no_pixel_is_of_two_structures(folder):
    masks = camus.open_folder(folder)[0].reference_masks
    assert masks.sum(axis=-1).max() == 1


def test_a_sequence_from_es_to_ed(folder):
    clip = camus.open_folder(folder)[1]
    assert (clip.ed_frame, clip.es_frame) == (NUM_FRAMES - 1, 0)
    areas = clip.reference_masks[..., 0].sum(axis=(1, 2))
    assert areas[clip.ed_frame] > 1.5 * areas[clip.es_frame]


def test_the_other_view(folder, tmp_path):
    assert camus.open_folder(folder, view="2CH")[0].name == "patient0001_2CH"
    with pytest.raises(UserError, match=r"config\.dataset\.view='3CH': expected 4CH or 2CH"):
        camus.open_folder(folder, view="3CH")


@pytest.mark.parametrize(("have", "asked"), [("2CH", "4CH"), ("4CH", "2CH")])
def test_files_of_the_other_view_are_told(tmp_path, have, asked):
    one(tmp_path, view=have)
    rule, reason = left_out(tmp_path, view=asked)
    assert rule == "other_view"
    assert f"has files of {have} only, none of {asked}" in reason


@pytest.mark.parametrize("place", [".", "database_nifti", "..", "../.."])
def test_the_folder_is_found_as_it_unpacks(folder, place):
    assert len(camus.open_folder(folder / place, "train")) == 6


def test_lists_decide_the_splits(folder):
    clips = {name: camus.open_folder(folder, name) for name in camus_info.SPLIT_FILES}
    assert {name: len(of) for name, of in clips.items()} == {"train": 6, "validation": 2, "test": 2}
    assert clips["test"][1].name == "patient0010_4CH"
    with pytest.raises(UserError, match="split 'tests' is unknown"):
        camus.open_folder(folder, "tests")


def test_without_lists_names_decide(tmp_path):
    folder = camus_folder.build(tmp_path, splits=False)
    names = {}
    for split in camus_info.SPLIT_FILES:
        names[split] = {patient.name for patient in camus.open_folder(folder, split).patients}
    assert {split: len(of) for split, of in names.items()} == {
        "train": 8,
        "validation": 1,
        "test": 1,
    }
    assert len(set.union(*names.values())) == 10
    # A patient that cannot be used leaves the others where they are.
    (folder / "database_nifti" / sorted(names["train"])[0] / "Info_4CH.cfg").unlink()
    for split in ("validation", "test"):
        assert {one.name for one in camus.open_folder(folder, split).patients} == names[split]


def test_the_source_is_one_as_the_others_are(folder):
    source = camus.Camus(folder)
    assert len(source.split("validation")) == 2
    assert source.split("test")[0].name == "patient0009_4CH"
    assert source.report.num_used == 10
    again = pickle.loads(pickle.dumps(source.split("test")))
    np.testing.assert_array_equal(again[0].frames, source.split("test")[0].frames)
    with pytest.raises(IndexError):
        source.split("test")[2]


def test_the_identity_follows_the_files(tmp_path):
    folder = camus_folder.build(tmp_path, views=camus.VIEWS)
    first = camus.Camus(folder).identity
    assert camus.Camus(folder).identity == first
    assert camus.Camus(folder, view="2CH").identity != first
    write_patient(folder / "database_nifti", "patient0001", ef=56.5)
    second = camus.Camus(folder).identity
    assert second != first
    names = [f"patient{number:04d}" for number in range(10, 0, -1)]
    write_splits(folder, {"training": names[:8], "validation": names[8:9], "testing": names[9:]})
    assert camus.Camus(folder).identity not in (first, second)


def test_every_patient_is_counted(tmp_path):
    folder = camus_folder.build(tmp_path)
    patients = folder / "database_nifti"
    write_patient(patients, "patient0011")  # In no list.
    (patients / "notes.txt").write_text("")
    (patients / "patient0001" / "Info_4CH.cfg").unlink()
    path = folder / "database_split" / "subgroup_testing.txt"
    path.write_text(path.read_text() + "patient0500\n")
    report = camus.open_folder(folder).report
    assert (report.num_listed, report.num_used) == (11, 9)
    found = {clip["name"]: clip["rule"] for clip in report.left_out()}
    assert found == {
        "patient0001": "missing_file",
        "patient0011": "unlisted",
        "patient0500": "missing",
    }
    assert [path.name for path in report.passed_over[".txt"]] == ["notes.txt"]
    lines = "\n".join(report.lines())
    assert "9 clips used, 3 left out" in lines
    assert "patient0500: named in database_split, but there is no such patient" in lines


def test_two_stills_are_a_clip_where_there_is_no_sequence(tmp_path):
    _, place = one(tmp_path, es_first=True)
    for path in place.glob("*half_sequence*"):
        path.unlink()
    clips = camus.open_folder(tmp_path)
    assert clips.report.count("stills") == 1
    clip = clips[0]
    assert (len(clip.frames), clip.ed_frame, clip.es_frame) == (2, 0, 1)
    assert math.isnan(clip.fps)
    areas = clip.reference_masks[..., 0].sum(axis=(1, 2))
    assert areas[0] > areas[1]


def test_without_labels_of_the_sequence_its_ends_are_known(tmp_path):
    _, place = one(tmp_path, es_first=True)
    (place / "patient0001_4CH_half_sequence_gt.nii.gz").unlink()
    clips = camus.open_folder(tmp_path)
    assert clips.report.count("ends_traced") == 1
    assert clips[0].reference_frames.tolist() == [0, NUM_FRAMES - 1]
    areas = clips[0].reference_masks[..., 0].sum(axis=(1, 2))
    assert areas[0] < areas[1]  # ES comes first.


def test_frames_without_a_label_have_no_reference(tmp_path):
    _, place = one(tmp_path)
    labels = heart(seed=1)[1]
    labels[2:4] = 0
    save(place / "patient0001_4CH_half_sequence_gt.nii.gz", labels)
    clips = camus.open_folder(tmp_path)
    assert clips.report.reasons == {"patient0001": f"2 of {NUM_FRAMES} frames"}
    assert clips[0].reference_frames.tolist() == [0, 1, *range(4, NUM_FRAMES)]


def test_labels_of_the_stills_are_those_of_ed_and_es(tmp_path):
    _, place = one(tmp_path)
    labels = heart(seed=1)[1]
    save(place / "patient0001_4CH_ED_gt.nii.gz", labels[4])
    masks = camus.open_folder(tmp_path)[0].reference_masks
    np.testing.assert_array_equal(masks[0], masks[4])


def test_an_outline_that_reaches_out_of_the_square_is_told(tmp_path):
    frames, labels = heart()
    labels = np.roll(labels, 40, axis=2)
    clips, _ = one(tmp_path, clip=(np.roll(frames, 40, axis=2), labels))
    assert clips.report.count("cut_off") == 1
    assert "% of the outlined pixels" in clips.report.reasons["patient0001"]


def test_an_outline_that_is_larger_at_es_is_told(tmp_path):
    frames, labels = heart()
    clips, _ = one(tmp_path, clip=(frames[::-1], labels[::-1]))
    assert clips.report.count("larger_at_es") == 1
    assert clips[0].ed_frame == 0


PART = "patient0001_4CH_"


def rewrite(place, part, change, **saved):
    """Writes a NIfTI file again, its (t, h, w) or (h, w) changed."""
    path = place / f"{PART}{part}.nii.gz"
    values = np.asarray(nibabel.load(path).dataobj).T
    save(path, change(values), **saved)


def exchange_all(place):
    for path in place.glob("*.nii.gz"):
        rewrite(place, path.name.removeprefix(PART)[:-7], lambda v: np.swapaxes(v, -1, -2))


def turn_all(place):
    for path in place.glob("*.nii.gz"):
        rewrite(place, path.name.removeprefix(PART)[:-7], lambda v: v[..., ::-1, :])


FAULTS = {
    "gt transposed": (
        lambda place: rewrite(place, "ED_gt", lambda v: v.T),
        *("orientation", r"ED_gt\.nii\.gz: 150x100 pixels, .*half_sequence.* has 100x150; x and y"),
    ),
    "all transposed": (exchange_all, "orientation", "px to the right of the ventricle's"),
    "upside down": (turn_all, "orientation", "px below it, of 112; expected it below"),
    "axes contradict": (
        lambda place: rewrite(
            place, "ES_gt", lambda v: v, affine=np.diag([1.2, -0.6, 1.0, 1.0]).astype(float)
        ),
        *("orientation", r"ES_gt.*: axes run along \(\(1, 0, 0\), \(0, -1, 0\)\), those of"),
    ),
    "another size": (
        lambda place: rewrite(place, "ED_gt", lambda v: v[:-1]),
        *("mismatch", r"ED_gt.*: 100x149 pixels, .* has 100x150; expected the same"),
    ),
    "another spacing": (
        lambda place: rewrite(place, "ED_gt", lambda v: v, spacing_mm=(0.6, 0.6)),
        *("mismatch", r"pixels are 0\.6 x 0\.6 mm and 1\.2 x 0\.6 mm in .*half_sequence"),
    ),
    "a still of two": (
        lambda place: rewrite(place, "ED_gt", lambda v: np.stack([v, v])),
        *("mismatch", "ED_gt.*: 2 frames; expected 1"),
    ),
    "labels too few": (
        lambda place: rewrite(place, "half_sequence_gt", lambda v: v[1:]),
        *("mismatch", f"{NUM_FRAMES - 1} frames; expected {NUM_FRAMES}"),
    ),
    "frames too few": (
        lambda place: rewrite(place, "half_sequence", lambda v: v[1:]),
        *("mismatch", f"{NUM_FRAMES - 1} frames; NbFrame of its Info file is {NUM_FRAMES}"),
    ),
    "no gt": (
        lambda place: (place / f"{PART}ES_gt.nii.gz").unlink(),
        *("missing_file", r"patient0001_4CH_ES_gt\.nii\.gz: no such file"),
    ),
    "no info": (
        lambda place: (place / "Info_4CH.cfg").unlink(),
        *("missing_file", r"Info_4CH\.cfg: no such file"),
    ),
    "no cavity": (
        lambda place: rewrite(place, "ED_gt", lambda v: np.where(v == 1, 2, v).astype(np.uint8)),
        *("no_outline", r"ED_gt.*: no pixel is 1, the ventricle's"),
    ),
    "a fourth label": (
        lambda place: rewrite(place, "ED_gt", lambda v: v + (v == 3).astype(np.uint8)),
        *("unreadable", "labels are 0 to 4; expected 0 to 3"),
    ),
    "halved": (
        lambda place: (place / f"{PART}half_sequence.nii.gz").write_bytes(
            (place / f"{PART}half_sequence.nii.gz").read_bytes()[:500]
        ),
        *("unreadable", "half_sequence.*not readable as NIfTI"),
    ),
    "bad value": (
        lambda place: (place / "Info_4CH.cfg").write_text("ED: one\nES: 9\nNbFrame: 9\n"),
        *("bad_info", r"Info_4CH\.cfg, line 1: ED is 'one'; expected a whole number from 1 to 9"),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line(tmp_path, name):
    _, place = one(tmp_path)
    spoil, rule, message = FAULTS[name]
    spoil(place)
    found, reason = left_out(tmp_path)
    assert found == rule
    assert re.search(message, reason), reason


def test_a_short_clip_is_left_out(tmp_path):
    one(tmp_path)
    assert left_out(tmp_path, min_frames=25) == (
        "too_short",
        f"{NUM_FRAMES} frames; config.dataset.min_frames is 25",
    )


def test_every_rule_is_explained_in_the_report(folder):
    report = camus.open_folder(folder).report.to_json()
    explained = {**report["left_out"], **report["used"], **report["tables"]}
    assert set(explained) == set(camus_patient.RULES.all)
    assert not any(found["count"] for found in explained.values())


def test_a_file_that_changes_afterwards_is_one_line(tmp_path):
    clips, place = one(tmp_path)
    (place / f"{PART}ED_gt.nii.gz").write_bytes(b"")
    with pytest.raises(UserError, match=r"ED_gt\.nii\.gz: not readable"):
        clips[0]
