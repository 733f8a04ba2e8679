"""A folder in CAMUS' layout through the command: data set, teacher, student, evaluation, report."""

import json

import numpy as np
import pytest

from configs import camus as camus_config
from configs import student as student_config
from echodfkd_jax import cli
from echodfkd_jax.clips import camus
from echodfkd_jax.datasets import prepared, recipe
from echodfkd_jax.datasets.builder_config import EchoClipsConfig
from echodfkd_jax.errors import UserError
from echodfkd_jax.teachers import load_teacher
from tests.clips import camus_folder

pytestmark = pytest.mark.slow  # All stages on a made-up download.

STRUCTURES = ("lv", "lv_myocardium", "la")
SMALL = {
    "model.subsampling": 8,
    "input.num_threads": 0,
    "train.num_epochs": 1,
    "eval.bootstrap_samples": 20,
}


def command(config, stage, **fields):
    settings = [f"--config.{name.replace('__', '.')}={value}" for name, value in fields.items()]
    return cli.main(["main.py", f"--config={config.__file__}:smoke", f"--stage={stage}", *settings])


def on_camus(folder, stage, **fields):
    places = {
        "workdir": folder / "run",
        "dataset.data_dir": folder / "data",
        "dataset.manual_dir": folder / "CAMUS_public",
    }
    return command(camus_config, stage, **(places | SMALL | fields))


def read(path):
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A made-up download after all stages."""
    folder = tmp_path_factory.mktemp("camus")
    camus_folder.build(folder / "CAMUS_public", views=camus.VIEWS)
    notes = folder / "CAMUS_public" / "database_nifti" / "patient0003" / "Info_4CH.cfg"
    notes.write_text("ED: 1\n")
    assert on_camus(folder, "all") == 0
    return folder


@pytest.fixture(scope="module")
def data_set(folder):
    return folder / "data" / "echo_clips" / "camus" / "1.0.0"


def test_every_patient_is_counted(data_set):
    report = read(data_set / "prepare_report.json")
    assert report["num_clips"] == {"train": 5, "validation": 2, "test": 2}
    assert report["teacher"] == "none"
    assert (report["layout"]["num_listed"], report["layout"]["num_left_out"]) == (10, 1)
    assert report["layout"]["left_out"]["bad_info"]["clips"] == ["patient0003"]
    assert "NbFrame is ''" in report["layout"]["reasons"]["patient0003"]


def test_clips_survive_the_round_trip_without_a_teacher(folder, data_set):
    kept = prepared.open_split(data_set, "test")[1]
    clip = camus.open_folder(folder / "CAMUS_public", "test")[1]
    assert kept.teacher_mask is None
    assert kept.reference_structures == STRUCTURES
    assert (kept.name, kept.ed_frame, kept.es_frame) == (clip.name, clip.ed_frame, clip.es_frame)
    for field in ("frames", "reference_masks", "reference_frames"):
        np.testing.assert_array_equal(getattr(kept, field), getattr(clip, field))


def test_the_test_patients_are_scored_per_structure_at_ed_and_es(folder):
    metrics = read(folder / "run" / "evaluation" / "test" / "metrics.json")
    assert (metrics["num_clips"], metrics["structures"]) == (2, list(STRUCTURES))
    assert metrics["models"].keys() == {"student"}
    for prefix in ("", "lv_myocardium/", "la/"):
        for metric in ("dice", "dice_ed", "dice_es"):
            assert metrics["count"][f"{prefix}{metric}/student_vs_reference"] == 2
    assert not [name for name in metrics["mean"] if name.endswith("_vs_teacher")]
    assert metrics["phase_frames"] == {"known": 2}


def test_the_report_shows_all_structures(folder):
    page = (folder / "run" / "report" / "index.html").read_text()
    assert "Dice, against the reference, la" in page
    assert (
        "area_reference_la_px"
        in (folder / "run" / "evaluation" / "test" / "frames.csv").read_text()
    )


def test_the_same_command_does_nothing_again(folder, capsys):
    assert on_camus(folder, "prepare") == 0
    assert (
        "already done: 5 train, 2 validation, 2 test clips, 1 left out" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("fields", "name", "count", "left_out"),
    [
        ({"eval.split": "all"}, "CAMUS_public", 9, 1),
        ({"eval.split": "all", "dataset.view": "2CH"}, "CAMUS_public_2CH", 10, 0),
        ({"eval.split": "validation"}, "CAMUS_public", 2, 0),
    ],
)
def test_a_folder_is_evaluated(folder, capsys, fields, name, count, left_out):
    assert (
        on_camus(folder, "evaluate", **fields, **{"eval.clips_dir": folder / "CAMUS_public"}) == 0
    )
    metrics = read(folder / "run" / "evaluation" / name / "metrics.json")
    assert (metrics["num_clips"], len(metrics["left_out"])) == (count, left_out)
    assert metrics["data"]["view"] == fields.get("dataset.view", "4CH")
    said = capsys.readouterr().out
    assert f"{count} clips, {left_out} left out" in said
    assert ("left out: patient0003: Info_4CH.cfg: NbFrame is ''" in said) == bool(left_out)
    assert metrics["count"]["la/dice_es/student_vs_reference"] == count


def test_an_unknown_split_of_a_folder_is_named(folder, capsys):
    flags = {"eval.clips_dir": folder / "CAMUS_public", "eval.split": "tset"}
    assert on_camus(folder, "evaluate", **flags) == 2
    assert "config.eval.split='tset': expected one of train, valid" in capsys.readouterr().err


def test_a_shipped_student_is_judged_beside_its_teacher(folder, tmp_path):
    flags = {"eval.clips_dir": folder / "CAMUS_public", "workdir": tmp_path, "structures": "'lv',"}
    flags |= {"student.weights": "small", "teacher.name": "unet", "eval.split": "test"}
    assert on_camus(folder, "evaluate", **flags) == 0
    metrics = read(tmp_path / "evaluation" / "CAMUS_public_small" / "metrics.json")
    assert metrics["models"].keys() == {"student", "teacher"}
    assert metrics["count"]["dice_ed/teacher_vs_reference"] == 2


def test_a_student_learns_from_the_teacher_on_generated_clips(folder):
    assert on_camus(folder, "export") == 0
    weights = folder / "run" / "export" / "student.safetensors"
    assert load_teacher("unet", weights=str(weights)).structures == STRUCTURES
    fields = {
        "workdir": folder / "student",
        "dataset.data_dir": folder / "student_data",
        "structures": "'lv','la'",  # All that this generator knows.
        "teacher.weights": weights,
        "dataset.generator": "tests.own_parts:Hearts",
        "model.blocks": 1,
        "model.filters": 2,
        "model.subsampling": 8,
        "input.window_frames": 2,
    }
    assert command(student_config, "prepare", **fields) == 0
    assert command(student_config, "train", **fields) == 0
    flags = {"eval.clips_dir": folder / "CAMUS_public", "eval.split": "test"}
    assert command(student_config, "evaluate", **fields, **flags) == 0
    metrics = read(folder / "student" / "evaluation" / "CAMUS_public" / "metrics.json")
    assert metrics["count"]["la/dice_ed/student_vs_reference"] == 2
    assert metrics["count"]["la/dice_ed/teacher_vs_reference"] == 2


def test_labelled_by_a_teacher_instead(folder):
    flags = {"teacher.name": "unet", "structures": "'lv',"}
    assert on_camus(folder, "prepare", **flags) == 0
    (made,) = (folder / "data" / "echo_clips").glob("camus_*/1.0.0")
    clip = prepared.open_split(made, "validation")[0]
    assert clip.teacher_mask.shape == (*clip.frames.shape, 1)
    assert clip.reference_masks.shape[-1] == 3


def test_a_structure_that_readers_did_not_outline_is_named(folder, tmp_path, capsys):
    flags = {"workdir": tmp_path, "structures": "'lv','rv'"}
    assert on_camus(folder, "prepare", **flags) == 0
    assert on_camus(folder, "train", **flags) == 2
    said = capsys.readouterr().err
    assert "has no 'rv', only lv, lv_myocardium, la" in said


def test_no_teacher_cannot_be_learnt_from(folder, tmp_path, capsys):
    assert on_camus(folder, "train", **{"workdir": tmp_path, "input.target": "teacher"}) == 2
    assert "patient" in (said := capsys.readouterr().err) and "has no teacher's mask" in said
    with pytest.raises(UserError, match=r"config\.teacher\.name='none': a teacher is needed here"):
        load_teacher("none")


def test_two_traced_frames_are_enough(tmp_path):
    folder = camus_folder.build(tmp_path / "CAMUS_public")
    for path in folder.rglob("*half_sequence_gt*"):
        path.unlink()
    assert on_camus(tmp_path, "prepare") == 0
    assert on_camus(tmp_path, "train") == 0
    (made,) = (tmp_path / "data" / "echo_clips").glob("camus/1.0.0")
    assert len(prepared.open_split(made, "train")[0].reference_frames) == 2
    assert read(made / "prepare_report.json")["layout"]["used"]["ends_traced"]["count"] == 10


def test_the_registered_recipe_is_the_configurations(tmp_path):
    config = camus_config.get_config()
    name, asked = recipe.resolve(recipe.fields_of(config), config.teacher.to_dict())
    assert (name, asked) == ("camus", recipe.REGISTERED["camus"])
    assert asked.reference_structures == STRUCTURES
    assert EchoClipsConfig(name="camus").name == "camus"
    other = EchoClipsConfig(name="camus", parameters={"view": "2CH"})
    assert other.name.startswith("camus_") and other.recipe.view == "2CH"
    with pytest.raises(UserError, match=r"config\.dataset\.view='A4C': expected 4CH or 2CH"):
        EchoClipsConfig(name="camus", parameters={"view": "A4C"})


def test_a_folder_without_a_patient_is_one_line(tmp_path, capsys):
    (tmp_path / "CAMUS_public").mkdir()
    assert on_camus(tmp_path, "prepare") == 2
    assert "CAMUS_public: nothing is in this folder" in capsys.readouterr().err
    (tmp_path / "CAMUS_public" / "notes.txt").write_text("")
    assert on_camus(tmp_path, "prepare") == 2
    assert "no patient there; expected database_nifti/patient0001/" in capsys.readouterr().err
