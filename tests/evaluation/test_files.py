import json
import math

import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import files
from echodfkd_jax.evaluation.evaluator import Target


def shown(name="a"):
    return files.ShownClip(
        name=name,
        rank="best",
        fps=math.nan,
        ed_frame=1,
        es_frame=0,
        frames=np.arange(8, dtype=np.uint8).reshape(2, 2, 2),
        masks={
            "lv": {"student": np.full((2, 2, 2), 9, np.uint8)},
            "la": {"student": np.full((2, 2, 2), 8, np.uint8)},
        },
        references={
            "lv": Target(np.array([1]), np.ones((1, 2, 2), bool)),
            "la": Target(np.zeros(0, int), np.zeros((0, 2, 2), bool)),
        },
    )


def test_numbers_that_are_not_finite_become_null(tmp_path):
    metrics = {"a": math.nan, "b": [np.float64(1.5), np.int64(2)], "c": (math.inf,)}
    path = files.write_metrics(tmp_path / "test", metrics)
    assert json.loads(path.read_text()) == {"a": None, "b": [1.5, 2], "c": [None]}


def test_no_metrics_read_as_nothing(tmp_path):
    assert files.read_metrics(tmp_path) == {}


@pytest.mark.parametrize("content", ["", "[1]", '{"a": '])
def test_damaged_metrics_are_named(tmp_path, content):
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(UserError, match=r"metrics\.json.*delete it"):
        files.read_metrics(tmp_path)


def test_shown_clips_come_back(tmp_path):
    # A name can be anything that a file system allows; it names no file here.
    files.write_shown(tmp_path, [shown("b"), shown("../<script>")])
    found = files.read_shown(tmp_path)
    assert [clip.name for clip in found] == ["b", "../<script>"]
    assert found[0].rank == "best"
    assert (found[0].ed_frame, found[0].es_frame) == (1, 0)
    assert math.isnan(found[0].fps)
    np.testing.assert_array_equal(found[0].frames, shown().frames)
    for structure in ("lv", "la"):
        mask, expected = (clip.masks[structure]["student"] for clip in (found[0], shown()))
        np.testing.assert_array_equal(mask, expected)
        for part, wanted in zip(found[0].references[structure], shown().references[structure]):
            np.testing.assert_array_equal(part, wanted)
    assert {label: mask[0, 0, 0] for label, mask in found[0].drawn().items()} == {
        "student": 9,
        "la": 8,
    }


def test_shown_clips_replace_older_ones(tmp_path):
    files.write_shown(tmp_path, [shown("a"), shown("b")])
    files.write_shown(tmp_path, [shown("c")])
    assert [clip.name for clip in files.read_shown(tmp_path)] == ["c"]


def test_areas_as_a_table(tmp_path):
    curves = [("a", {"student": np.array([4.0, 3.0]), "reference": np.array([math.nan, 5.0])})]
    path = files.write_frames(tmp_path, curves, ["student", "teacher", "reference"])
    assert path.read_text().splitlines() == [
        "clip,frame,area_student_px,area_teacher_px,area_reference_px",
        "a,0,4,,",
        "a,1,3,,5",
    ]


def test_areas_come_back(tmp_path):
    assert files.read_frames(tmp_path) == {}
    curves = [
        ("a,b", {"student": np.array([4.0, 3.0]), "reference": np.array([math.nan, 5.0])}),
        ("c", {"student": np.array([1.0])}),
    ]
    files.write_frames(tmp_path, curves, ["student", "reference"])
    found = files.read_frames(tmp_path)
    assert list(found) == ["a,b", "c"]
    np.testing.assert_array_equal(found["a,b"]["reference"], [math.nan, 5.0])
    assert {model: area.tolist() for model, area in found["c"].items() if model == "student"} == {
        "student": [1.0]
    }


@pytest.mark.parametrize(
    "content", ["x,y\n1,2\n", "clip,frame,area_student_px\na,0,x\n", "clip,frame,s\na,1,2\n"]
)
def test_damaged_areas_are_named(tmp_path, content):
    (tmp_path / "frames.csv").write_text(content)
    with pytest.raises(UserError, match=r"frames\.csv.*not written by --stage=evaluate"):
        files.read_frames(tmp_path)


def test_finished_evaluations_are_found(tmp_path):
    files.write_metrics(files.folder(tmp_path, "test"), {})
    files.write_frames(files.folder(tmp_path, "unfinished"), [], [])
    assert files.all_folders(tmp_path) == [tmp_path / "evaluation" / "test"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to"):
        files.write_metrics(tmp_path / "file", {})
