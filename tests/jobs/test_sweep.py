import csv
import json
import os
import pathlib
import subprocess
import sys

import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import frontier
from echodfkd_jax.jobs import sweep
from tests.jobs import made_up_run

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def trained(monkeypatch):
    """Stands in for training: saves a random network; returns the folders it was asked for."""
    workdirs = []

    def train(config):
        workdirs.append(config.workdir)
        made_up_run.save_run(config)

    monkeypatch.setattr(sweep.train, "run", train)
    monkeypatch.setattr(sweep.prepare, "run", lambda config: None)
    return workdirs


@pytest.fixture
def config(tmp_path):
    made = made_up_run.config(tmp_path / "run")
    made.eval.clips_dir = str(made_up_run.save_clips(tmp_path / "clips"))
    made.teacher = {"name": "precomputed", "weights": ""}
    made.sweep.sizes = ("11", "12", "21")
    return made


@pytest.mark.slow
def test_every_size_is_a_run_of_its_own_and_a_row(config, trained, capsys):
    sweep.run(config)
    folder = pathlib.Path(config.workdir) / "sweep"
    assert trained == [str(folder / size) for size in ("11", "12", "21")]
    table = json.loads((folder / "table.json").read_text())
    assert [row["size"] for row in table["rows"]] == ["11", "12", "21"]
    assert [row["weights"] for row in table["rows"]] == [
        frontier.num_weights(*size, filters=2) for size in ((1, 1), (1, 2), (2, 1))
    ]
    # These clips have no tracings, so the teacher's masks are what there is.
    assert table["metric"] == "dice/student_vs_teacher"
    for row in table["rows"]:
        metrics = json.loads((folder / row["size"] / "evaluation/clips/metrics.json").read_text())
        expected = metrics["protocols"]["paper"]["dice/student_vs_teacher"]
        assert row["dice/student_vs_teacher"] == expected["value"]
        assert row["clips/dice/student_vs_teacher"] == 3
        assert row["dice/student_vs_reference"] is None
    assert (folder / "frontier.png").read_bytes().startswith(b"\x89PNG")
    with (folder / "table.csv").open() as file:
        assert [row["dice/published"] for row in csv.DictReader(file)] == [
            "0.784",
            "0.776",
            "0.858",
        ]
    assert str(folder / "frontier.png") in capsys.readouterr().out


@pytest.mark.slow
def test_curves_are_fitted_to_four_sizes_and_more(config, trained):
    sweep.run(config)
    path = pathlib.Path(config.workdir) / "sweep" / "table.json"
    ours, published = json.loads(path.read_text())["fits"].values()
    assert ours is None
    assert published.keys() == {"floor", "scale", "exponent"}


@pytest.mark.slow
def test_more_sizes_join_those_that_are_done(config, trained, capsys):
    config.sweep.sizes = ("11",)
    sweep.run(config)
    config.sweep.sizes = ("11", "12")
    sweep.run(config)
    assert "already evaluated" in capsys.readouterr().out
    path = pathlib.Path(config.workdir) / "sweep" / "table.json"
    assert [row["size"] for row in json.loads(path.read_text())["rows"]] == ["11", "12"]


def test_an_unknown_size_is_named_before_anything_is_done(config, trained):
    config.sweep.sizes = ("11", "51")
    with pytest.raises(UserError, match=r"config.sweep.sizes has '51'"):
        sweep.run(config)
    assert trained == []


def test_a_network_without_sizes_is_refused(config, trained):
    config.model.name = "unet"
    with pytest.raises(UserError, match=r"config.model.name='unet' has no sizes"):
        sweep.run(config)


@pytest.mark.slow
def test_three_sizes_on_generated_clips(tmp_path):
    command = [
        sys.executable,
        "main.py",
        "--config=configs/synthetic.py:smoke",
        "--stage=sweep",
        "--config.sweep.sizes='11','12','21'",
        f"--config.workdir={tmp_path / 'run'}",
        f"--config.dataset.data_dir={tmp_path / 'data'}",
        "--config.dataset.num_frames=10",
        "--config.model.filters=2",
        "--config.model.subsampling=8",
        "--config.train.num_epochs=1",
        "--config.train.image_every_epochs=0",
        "--config.eval.bootstrap_samples=20",
    ]

    def run():
        return subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            timeout=1800,
        )

    first = run()
    assert first.returncode == 0, first.stderr
    folder = tmp_path / "run" / "sweep"
    table = json.loads((folder / "table.json").read_text())
    assert table["metric"] == "dice/student_vs_reference"
    assert [row["clips/dice/student_vs_reference"] for row in table["rows"]] == [4, 4, 4]
    assert (folder / "frontier.png").is_file()
    again = run()
    assert again.stdout.count("already trained") == 3
    assert again.stdout.count("already evaluated") == 3
    assert json.loads((folder / "table.json").read_text()) == table
