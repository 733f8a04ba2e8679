import importlib.util
import json
import pathlib

import numpy as np
import pytest
import safetensors.numpy

from echodfkd_jax import cli
from echodfkd_jax.jobs import evaluate, report
from tests.datasets import stand_ins
from tests.jobs import made_up_run

TESTDATA = pathlib.Path(__file__).parents[1] / "testdata"
CONFIG = str(pathlib.Path(__file__).parents[2] / "configs" / "synthetic.py")


class Brightness:
    """A judge that sees how bright a frame is, and nothing else."""

    name, fingerprint = "brightness", "brightness-1"

    def embed_images(self, frames):
        angle = frames.astype(np.float32).mean((1, 2)) / 255
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def embed_texts(self, texts):
        angle = np.linspace(0, 1, len(texts), dtype=np.float32)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@pytest.fixture
def config(tmp_path, monkeypatch, data_dir):
    stand_ins.use(monkeypatch, stand_ins.CountingTeacher())
    made = made_up_run.config(tmp_path / "run")
    made.dataset.data_dir = data_dir
    made_up_run.save_run(made)
    return made


def metrics(config):
    path = pathlib.Path(config.workdir) / "evaluation" / "test" / "metrics.json"
    return json.loads(path.read_text())


def page(config):
    return (pathlib.Path(config.workdir) / "report" / "index.html").read_text()


def test_without_a_judge_one_line_says_so_and_the_rest_is_there(config, capsys):
    evaluate.run(config)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("auxiliary")]
    assert lines == ["auxiliary judge: skipped, config.judge.name is empty (set it to 'echoclip')"]
    assert metrics(config)["num_clips"] == 5
    assert metrics(config)["judge"] is None


def test_missing_weights_skip_the_judge_and_say_where_they_were_looked_for(config, capsys):
    config.judge.name, config.judge.weights = "echoclip", "absent.safetensors"
    evaluate.run(config)
    assert "auxiliary judge: skipped, absent.safetensors" in capsys.readouterr().out
    assert metrics(config)["num_clips"] == 5


def test_a_class_of_ones_own_judges_and_is_in_the_report(config):
    config.judge.name = f"{__name__}:Brightness"
    evaluate.run(config)
    found = metrics(config)
    assert found["judge"] == "brightness"
    assert found["count"]["afd_ed/student_vs_brightness"] == 5
    assert "erasure/no_mask" in found["mean"]
    assert "ed_frame/brightness" not in found["mean"]  # A position.
    report.run(config)
    assert "Agreement with brightness" in page(config)


# 2 GB, and about a minute and a half on two cores.
@pytest.mark.slow
def test_made_up_echoclip_weights_judge_through_the_command_line(config, tmp_path):
    path = TESTDATA / "weights_recipe.py"
    spec = importlib.util.spec_from_file_location("weights_recipe", path)
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    shapes = json.loads((TESTDATA / "echoclip_state_dict.json").read_text())
    weights = tmp_path / "open_clip_model.safetensors"
    safetensors.numpy.save_file(
        {key: np.asarray(recipe.echoclip_value(key, tuple(s))) for key, s in shapes.items()},
        weights,
    )
    arguments = ["main.py", f"--config={CONFIG}:smoke", f"--config.workdir={config.workdir}"]
    arguments.append(f"--config.dataset.data_dir={config.dataset.data_dir}")
    judge = ["--config.judge.name=echoclip", f"--config.judge.weights={weights}"]
    judge += ["--config.judge.erasure_step_frames=3"]
    assert cli.main([*arguments, "--stage=evaluate", *judge]) == 0
    assert cli.main([*arguments, "--stage=report"]) == 0
    found = metrics(config)
    assert found["count"]["ef/echoclip"] == 5
    assert 0 <= found["mean"]["ef/echoclip"] <= 100
    assert "Agreement with echoclip" in page(config)
