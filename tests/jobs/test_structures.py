"""Two structures through the command: generator, data set, training, evaluation, files, report."""

import csv
import json

import jax
import numpy as np
import pytest

from configs import synthetic
from echodfkd_jax import cli
from echodfkd_jax.clips.mask_files import read_masks
from echodfkd_jax.evaluation import table
from echodfkd_jax.networks.safetensors import load_variables
from echodfkd_jax.networks.shipped import load_student
from echodfkd_jax.teachers import load_teacher
from tests import own_parts

pytestmark = pytest.mark.slow

OWN = "tests.own_parts"
NAMES = ("lv", "la")


def command(folder, stage, *flags, names="'lv','la'"):
    fields = {
        "workdir": folder / "run",
        "structures": names,
        "dataset.data_dir": folder,
        "dataset.generator": f"{OWN}:Hearts",
        "dataset.num_train": 4,
        "dataset.num_validation": 1,
        "dataset.num_test": 2,
        "dataset.num_frames": 12,
        "teacher.name": f"{OWN}:HeartTeacher",
        "model.blocks": 1,
        "model.filters": 2,
        "model.subsampling": 8,
        "input.window_frames": 4,
        "train.batch_size": 2,
        "train.num_epochs": 1,
    }
    settings = [f"--config.{field}={value}" for field, value in fields.items()]
    config = f"--config={synthetic.__file__}:smoke"
    return cli.main(["main.py", config, f"--stage={stage}", *settings, *flags])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("structures")
    assert command(folder, "all") == 0
    return folder


@pytest.fixture(scope="module")
def metrics(folder):
    return json.loads((folder / "run" / "evaluation" / "test" / "metrics.json").read_text())


def test_exact_and_soft_masks_are_in_the_data_set_in_the_order_asked_for(metrics):
    assert metrics["structures"] == list(NAMES)
    assert metrics["data"]["recipe"]["structures"] == list(NAMES)
    # The teacher is right about both; were they exchanged, Dice would be 0.
    assert metrics["mean"]["dice/teacher_vs_reference"] == 1.0
    assert metrics["mean"]["la/dice/teacher_vs_reference"] == 1.0
    assert metrics["mean"]["la/area_correlation/teacher_vs_reference"] == pytest.approx(1.0)
    assert metrics["total"]["la/empty_frames/teacher_vs_reference"] == 0


def test_phases_and_ejection_fractions_are_the_ventricles(metrics):
    assert "ef_area/student" in metrics["mean"]
    assert not [name for name in metrics["mean"] if name.startswith(("la/ef", "la/afd"))]
    # The atrium is largest when the ventricle is smallest.
    assert [clip["ed_frame"] for clip in metrics["per_clip"]] == [0, 0]


def test_the_student_has_a_score_for_each_structure(metrics):
    for name in ("dice/student_vs_teacher", "la/dice/student_vs_teacher"):
        assert metrics["count"][name] == 2
    lines = table.text(metrics)
    assert any("Dice, against the reference, la" in line for line in lines)
    assert any(line.startswith("  Dice, against the reference  ") for line in lines)


def test_areas_of_both_are_in_the_table_of_frames(folder):
    with (folder / "run" / "evaluation" / "test" / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    of_structure = {
        name: [int(row[f"area_teacher{name}_px"]) for row in rows] for name in ("", "_la")
    }
    assert rows[0].keys() >= {"area_student_la_px", "area_reference_la_px"}
    first = {name: areas[:12] for name, areas in of_structure.items()}
    assert np.argmax(first[""]) == 0 and np.argmin(first["_la"]) == 0


def test_the_report_shows_both(folder):
    page = (folder / "run" / "report" / "index.html").read_text()
    assert "Dice, against the teacher, la" in page
    assert "la, student-teacher" in page
    assert "la</span>" in page  # The legend.


@pytest.fixture(scope="module")
def predicted(folder):
    clip = own_parts.Hearts().make(jax.random.key(7), num_frames=12, train=False)
    np.savez(folder / "clip.npz", frames=np.asarray(clip.frames))
    assert command(folder, "predict", f"--config.predict.inputs={folder / 'clip.npz'}") == 0
    return folder / "run" / "predictions"


def test_a_prediction_has_a_mask_file_and_areas_for_each(predicted):
    content = json.loads((predicted / "clip.json").read_text())
    lv, la = (read_masks(predicted / name) for name in ("clip.seg.npz", "clip.la.seg.npz"))
    assert lv.shape == la.shape == (12, 112, 112)
    assert content["area_px"] == (lv > 127).sum((1, 2)).tolist()
    assert content["areas_px"] == {"la": (la > 127).sum((1, 2)).tolist()}
    assert (lv != la).any()
    assert (predicted / "clip.mp4").stat().st_size > 0


def test_predicted_masks_are_a_teacher_of_both(predicted):
    teacher = load_teacher("precomputed", weights=str(predicted), structures=NAMES)
    assert teacher.structures == NAMES
    clip = own_parts.DiscSplit(1, "clip")[0]
    masks = teacher.label(type(clip)(**{**vars(clip), "name": "clip"}))
    np.testing.assert_array_equal(masks[..., 1], read_masks(predicted / "clip.la.seg.npz"))


def test_weights_know_their_structures(folder):
    run = folder / "run"
    assert command(folder, "export") == 0
    file = run / "export" / "student.safetensors"
    _, header = load_variables(file)
    assert json.loads(header["model"])["structures"] == list(NAMES)
    assert load_student(file).structures == NAMES
    assert load_teacher("student", weights=str(file)).structures == NAMES
    assert load_teacher("student", weights=str(run)).structures == NAMES


def test_the_published_format_holds_the_ventricle_alone(folder, capsys):
    assert command(folder, "export", "--config.export.format=pytorch") == 2
    assert "structures=('lv', 'la')" in capsys.readouterr().err


def test_a_run_is_not_continued_with_other_structures(folder, capsys):
    assert command(folder, "train", names="'lv',") == 2
    assert "config.structures=['lv']" in capsys.readouterr().err


@pytest.mark.parametrize("names", ["'la',", "'lv','lv'", "'lv','../a'"])
def test_structures_that_cannot_be_are_named(tmp_path, capsys, names):
    assert command(tmp_path, "prepare", names=names) == 2
    assert "expected 'lv' and, after it" in capsys.readouterr().err


def test_a_structure_that_the_generator_does_not_know_is_named(tmp_path, capsys):
    assert command(tmp_path, "prepare", names="'lv','rv'") == 2
    assert "no 'rv', only" in capsys.readouterr().err
