import csv
import json
import math
import os
import pathlib
import threading
import time

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from echodfkd_jax.clips.mask_files import read_masks
from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import files, scoring
from echodfkd_jax.jobs import evaluate, report
from echodfkd_jax.runs.student import load_student
from tests.datasets import stand_ins
from tests.evaluation import made_up_clips
from tests.jobs import made_up_run

# EchoNet clips may not be passed on: whoever has some says where.
REAL_CLIPS = pathlib.Path(os.environ.get("ECHODFKD_REAL_CLIPS", "not set"))


@pytest.fixture
def teacher(monkeypatch):
    return stand_ins.use(monkeypatch, stand_ins.CountingTeacher())


@pytest.fixture
def config(tmp_path):
    made = made_up_run.config(tmp_path / "run")
    made_up_run.save_run(made)
    return made


def _metrics(config, name):
    return json.loads(
        (pathlib.Path(config.workdir) / "evaluation" / name / "metrics.json").read_text()
    )


def _on_folder(config, folder):
    config.eval.clips_dir = str(folder)
    evaluate.run(config)
    return _metrics(config, folder.name)


@pytest.fixture
def on_split(config, data_dir):
    config.dataset.data_dir = data_dir
    evaluate.run(config)
    return _metrics(config, "test")


def test_a_split_of_the_data_set(on_split, config):
    assert on_split["num_clips"] == 5
    assert on_split["checkpoint_step"] == 3
    assert on_split["data"]["teacher"] == "unet-aaaaaaaaaaaa"
    assert on_split["data"]["generator_version"] == "stand-in 1"
    assert list(on_split["models"]) == ["student", "teacher"]
    assert on_split["phase_frames"] == {"known": 5}
    assert on_split["num_weights"] == sum(
        [(1 + 2) * 8 * 9 + 8, 2 + 2, 2 + 1]  # ConvLSTM, BatchNorm, head
    )
    # Known of the stand-in: masks are frames > 200, the teacher's frames > 127 (54 and 128 of 256).
    assert on_split["mean"]["dice/teacher_vs_reference"] == pytest.approx(
        2 * 55 / (55 + 128), abs=0.01
    )
    assert on_split["mean"]["ef/recorded"] == 60.0
    for clip in on_split["per_clip"]:
        assert (clip["ed_frame"], clip["es_frame"]) == (1, 5)
        assert 0 <= clip["dice/student_vs_teacher"] <= 1
    assert on_split["correlation"]["ef_area/student_vs_recorded"]["value"] is None  # All are 60 %.
    assert on_split["protocols"]["paper"]["dice/student_vs_reference"]["count"] == 5
    assert on_split["protocols"]["echonet"]["dice/student_vs_teacher"]["count"] == 5


def test_means_and_intervals_have_the_same_metrics(on_split):
    assert on_split["mean"].keys() == on_split["ci95"].keys() == on_split["count"].keys()
    for metric, (low, high) in on_split["ci95"].items():
        assert low <= on_split["mean"][metric] + 1e-12, metric
        assert on_split["mean"][metric] <= high + 1e-12, metric


def test_areas_of_all_frames_are_written(on_split, config):
    path = files.folder(config.workdir, "test") / "frames.csv"
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 * 6
    assert set(rows[0]) == {
        "clip",
        "frame",
        "area_student_px",
        "area_teacher_px",
        "area_reference_px",
    }


def test_numbers_are_shown_in_tensorboard_where_there_are_any(on_split, config):
    loader = EventAccumulator(str(pathlib.Path(config.workdir) / "tensorboard" / "evaluation_test"))
    loader.Reload()
    (event,) = loader.Scalars("dice/student_vs_teacher")
    assert event.step == 3
    assert event.value == pytest.approx(on_split["mean"]["dice/student_vs_teacher"])
    tags = loader.Tags()
    assert "correlation/ef_area/student_vs_recorded" not in tags["scalars"]
    assert len(tags["images"]) == 3


def test_the_same_again_is_not_done_again(on_split, config, capsys):
    before = pathlib.Path(files.folder(config.workdir, "test") / "metrics.json").stat().st_mtime_ns
    evaluate.run(config)
    assert "already evaluated: step 3 on test" in capsys.readouterr().out
    assert (
        pathlib.Path(files.folder(config.workdir, "test") / "metrics.json").stat().st_mtime_ns
        == before
    )


def test_another_setting_is_done_again(on_split, config):
    config.eval.bootstrap_samples = 60
    evaluate.run(config)
    assert _metrics(config, "test")["inputs"]["bootstrap_samples"] == 60


def test_other_weights_of_the_same_step_are_done_again(config, teacher, tmp_path):
    folder = made_up_run.save_clips(tmp_path / "clips")
    first = _on_folder(config, folder)
    (pathlib.Path(config.workdir) / "checkpoints").rename(tmp_path / "aside")
    made_up_run.save_run(config, seed=100)
    second = _on_folder(config, folder)
    assert second["checkpoint_step"] == first["checkpoint_step"]
    assert second["models"]["student"] != first["models"]["student"]


def test_a_folder_with_masks_of_its_own(config, teacher, tmp_path):
    folder = made_up_run.save_clips(tmp_path / "my clips")
    metrics = _on_folder(config, folder)
    assert metrics["name"] == "my clips"
    assert metrics["models"]["teacher"] == "TeacherMasks/"
    assert metrics["models"]["labeller"] == "unet-aaaaaaaaaaaa"
    # The stand-in's probability is brightness: 190 inside the ellipse, 40 outside; AVI blurs edges.
    assert metrics["mean"]["dice/labeller_vs_teacher"] > 0.97
    assert metrics["phase_frames"] == {"teacher": 3}
    assert [clip["ed_frame"] for clip in metrics["per_clip"]] == [3, 3, 3]
    assert [clip["es_frame"] for clip in metrics["per_clip"]] == [12, 12, 12]
    assert "dice/student_vs_reference" not in metrics["mean"]
    assert metrics["correlation"]["ef_area/labeller_vs_recorded"]["count"] == 3


def test_a_folder_without_masks_gets_the_teachers(config, teacher, tmp_path):
    folder = made_up_run.save_clips(tmp_path / "clips", masks=False)
    metrics = _on_folder(config, folder)
    assert metrics["models"] == {
        "student": metrics["models"]["student"],
        "teacher": "unet-aaaaaaaaaaaa",
    }
    # Labelled once for the numbers, and once more for each of the clips that are shown.
    assert teacher.num_clips == 3 + 3


def test_precomputed_masks_as_the_tested_model_are_perfect(config, tmp_path):
    folder = made_up_run.save_clips(tmp_path / "clips")
    config.teacher = {"name": "precomputed", "weights": ""}
    metrics = _on_folder(config, folder)
    assert metrics["mean"]["dice/labeller_vs_teacher"] == 1.0
    assert metrics["mean"]["afd_ed/labeller_vs_teacher"] == 0.0
    assert metrics["mean"]["afd_es/labeller_vs_teacher"] == 0.0
    for protocol in ("paper", "echonet"):
        assert metrics["protocols"][protocol]["dice/labeller_vs_teacher"]["value"] == 1.0


def test_without_its_weights_the_teacher_is_left_out(config, tmp_path, caplog):
    folder = made_up_run.save_clips(tmp_path / "clips")
    config.teacher.weights = str(tmp_path / "nowhere.safetensors")
    metrics = _on_folder(config, folder)
    assert list(metrics["models"]) == ["student", "teacher"]
    assert "the teacher is not evaluated" in caplog.text


def test_a_changed_folder_is_done_again(config, teacher, tmp_path):
    folder = made_up_run.save_clips(tmp_path / "clips")
    assert _on_folder(config, folder)["num_clips"] == 3
    table = folder / "FileList.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    assert _on_folder(config, folder)["num_clips"] == 2


def test_only_the_asked_split_of_a_folder_is_taken(config, teacher, tmp_path):
    folder = made_up_run.save_clips(tmp_path / "clips")
    table = folder / "FileList.csv"
    table.write_text(table.read_text().replace("60,120,50.0,TEST", "60,120,50.0,TRAIN", 1))
    assert _on_folder(config, folder)["num_clips"] == 2
    config.eval.split = "all"
    assert _on_folder(config, folder)["num_clips"] == 3


def test_a_folder_named_like_a_split_does_not_take_its_place(config, teacher, tmp_path):
    folder = made_up_run.save_clips(tmp_path / "test")
    config.eval.clips_dir = str(folder)
    evaluate.run(config)
    assert _metrics(config, "folder_test")["num_clips"] == 3


def test_without_a_data_set_the_way_out_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no data set; make it with --stage=prepare"):
        evaluate.run(made_up_run.config(tmp_path / "run"))


@pytest.mark.slow
def test_without_a_run_the_shipped_student_judges_a_folder(teacher, tmp_path, capsys):
    made = made_up_run.config(tmp_path / "run")
    metrics = _on_folder(made, made_up_run.save_clips(tmp_path / "clips", names=("a",)))
    assert "no run in" in capsys.readouterr().out
    assert metrics["models"]["student"] == load_student().fingerprint
    assert metrics["checkpoint_step"] is None
    assert metrics["checkpoint"] == "best, shipped with the project"
    assert metrics["num_weights"] == 714_629


@pytest.mark.slow
def test_named_weights_stand_beside_the_runs_own(config, teacher, tmp_path):
    folder = made_up_run.save_clips(tmp_path / "clips", names=("a",))
    own = _on_folder(config, folder)
    config.student.weights = "small"
    evaluate.run(config)
    small = _metrics(config, "clips_small")
    assert small["name"] == "clips_small"
    assert small["num_weights"] == 39_577
    assert _metrics(config, "clips") == own
    report.run(config)
    page = (pathlib.Path(config.workdir) / "report" / "index.html").read_text()
    assert "small, shipped with the project" in page and "step 3 (best)" in page


def test_weights_and_watching_exclude_each_other(config):
    config.eval.watch = True
    config.student.weights = "small"
    with pytest.raises(UserError, match=r"config\.student\.weights='small': expected none"):
        evaluate.run(config)


def test_an_unknown_split_is_named(config, data_dir):
    config.dataset.data_dir = data_dir
    config.eval.split = "tset"
    with pytest.raises(UserError, match=r"config\.eval\.split='tset'.*test"):
        evaluate.run(config)


def test_batches_are_neighbours_of_one_shape():
    clips = [made_up_clips.clip(num_frames) for num_frames in (4, 4, 4, 5, 4)]
    sizes = [[len(c.frames) for c in batch] for batch in scoring.batches(clips, 2)]
    assert sizes == [[4, 4], [4], [5], [4]]


def test_batches_of_clips_and_single_clips_agree(config, data_dir):
    config.dataset.data_dir = data_dir
    config.eval.batch_size = 1
    evaluate.run(config)
    one_by_one = _metrics(config, "test")
    config.eval.batch_size = 2
    (files.folder(config.workdir, "test") / "metrics.json").unlink()
    evaluate.run(config)
    together = _metrics(config, "test")
    for first, second in zip(one_by_one["per_clip"], together["per_clip"]):
        assert first["name"] == second["name"]
        assert math.isclose(
            first["dice/student_vs_teacher"], second["dice/student_vs_teacher"], abs_tol=1e-3
        )


def test_watching_scores_every_checkpoint_once_and_ends_with_the_training(
    teacher, tmp_path, capsys
):
    config = made_up_run.config(tmp_path / "run")
    folder = made_up_run.save_clips(tmp_path / "clips")
    config.eval.update(clips_dir=str(folder), watch=True, poll_s=0.05)
    # One epoch of two is done when the job starts to wait; the second one comes later.
    made_up_run.save_run(config, steps=(3,), epochs_left=1)

    steps = files.folder(config.workdir, "clips") / evaluate.WATCHED

    def train_on():
        deadline = time.monotonic() + 300
        while not (steps / "3").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        made_up_run.save_run(config, steps=(3, 6))

    thread = threading.Thread(target=train_on)
    thread.start()
    evaluate.run(config)
    thread.join()
    printed = capsys.readouterr().out
    assert printed.count("evaluating step 3") == printed.count("evaluating step 6") == 1
    assert _metrics(config, "clips")["checkpoint_step"] == 3  # The best one.
    assert sorted(path.name for path in steps.iterdir()) == ["3", "6"]


@pytest.mark.skipif(not REAL_CLIPS.is_dir(), reason="ECHODFKD_REAL_CLIPS is not set")
def test_real_clips_with_the_published_teachers_masks(config):
    config.teacher = {"name": "precomputed", "weights": ""}
    metrics = _on_folder(config, REAL_CLIPS)
    assert metrics["num_clips"] >= 4
    assert metrics["mean"]["dice/labeller_vs_teacher"] == 1.0
    mask = read_masks(REAL_CLIPS / "TeacherMasks" / "0X10A28877E97DF540.seg.npz")
    areas = (mask > 25).sum(axis=(1, 2))
    clip = next(c for c in metrics["per_clip"] if c["name"] == "0X10A28877E97DF540")
    assert (clip["ed_frame"], clip["es_frame"]) == (areas.argmax(), areas.argmin())
