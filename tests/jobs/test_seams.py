"""What a configuration names may be a class of one's own; each runs through the command."""

import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from configs import synthetic
from echodfkd_jax import cli
from echodfkd_jax.evaluation import table

OWN = "tests.own_parts"
CONFIG = f"{synthetic.__file__}:smoke"


def command(tmp_path, stage, *flags):
    places = [f"--config.workdir={tmp_path / 'run'}", f"--config.dataset.data_dir={tmp_path}"]
    small = [
        "--config.model.blocks=1",
        "--config.model.filters=2",
        "--config.model.subsampling=8",
        "--config.input.window_frames=4",
        "--config.train.batch_size=2",
        "--config.train.num_epochs=1",
        "--config.dataset.num_train=2",
        "--config.dataset.num_validation=1",
        "--config.dataset.num_test=2",
        "--config.dataset.num_frames=12",
        f"--config.dataset.generator={OWN}:Discs",
    ]
    argv = ["main.py", f"--config={CONFIG}", f"--stage={stage}", *places, *small, *flags]
    assert cli.main(argv) == 0
    return tmp_path / "run"


@pytest.fixture(scope="module")
def own_run(tmp_path_factory):
    """A generator, a teacher, a loss and an evaluator of one's own, from clips to the report."""
    folder = tmp_path_factory.mktemp("own")
    flags = [
        f"--config.teacher.name={OWN}:BrightTeacher",
        f"--config.train.loss={OWN}:squared_error",
        f"--config.eval.evaluators='overlap','{OWN}:Filling'",
    ]
    return command(folder, "all", *flags)


def test_generator_teacher_and_loss(own_run):
    config = json.loads((own_run / "config.json").read_text())
    assert config["train"]["loss"] == f"{OWN}:squared_error"
    (metadata,) = own_run.parent.glob("echo_clips/*/1.0.0/metadata.json")
    made_of = json.loads(metadata.read_text())
    assert made_of["generator_version"] == "discs 1"
    assert made_of["teacher"] == "bright-1"
    metrics = json.loads((own_run / "evaluation" / "test" / "metrics.json").read_text())
    assert metrics["num_clips"] == 2
    assert metrics["mean"]["dice/teacher_vs_reference"] == 1.0  # What is bright is the disc.
    # The error of a probability is at most 1; a cross-entropy of such a network is about 0.7.
    lines = [json.loads(line) for line in (own_run / "metrics.jsonl").read_text().splitlines()]
    losses = [line["validation/loss"] for line in lines if "validation/loss" in line]
    assert losses and all(0 < loss < 0.5 for loss in losses)


def test_an_evaluators_numbers_are_in_metrics_table_report_and_tensorboard(own_run):
    path = own_run / "evaluation" / "test" / "metrics.json"
    found = json.loads(path.read_text())
    part = found["mean"]["filling/teacher"]
    # Discs of radius 12 to 38 in a frame of 112.
    assert 0.03 < part < 0.37
    assert found["per_clip"][0]["filling/teacher"] > 0
    assert found["filled"]["teacher"]["value"] == part
    assert "ef_area/teacher" not in found["mean"]  # That evaluator was not asked for.
    (line,) = [line for line in table.text(found) if "Part of the frame" in line]
    assert f"{part:.2f} [" in line
    page = (own_run / "report" / "index.html").read_text()
    assert "Part of the frame" in page and "Filled frames" in page
    assert f"<td>{part:.4f} [" in page
    events = EventAccumulator(str(own_run / "tensorboard" / "evaluation_test")).Reload()
    for tag in ("filling/teacher", "filled/teacher"):
        (event,) = events.Scalars(tag)
        assert event.value == pytest.approx(part)


def test_a_clip_source(tmp_path):
    source = f"--config.dataset.name={OWN}:DiscFolder"
    run = command(tmp_path, "prepare", source, f"--config.teacher.name={OWN}:BrightTeacher")
    assert not run.exists()
    (metadata,) = tmp_path.glob("echo_clips/*/1.0.0/metadata.json")
    assert json.loads(metadata.read_text())["source"] == "disc-folder-1"
    assert len(list(tmp_path.rglob("*.array_record*"))) == 3


def test_endless_clips_and_a_network(tmp_path):
    config = tmp_path / "own_network.py"
    config.write_text(
        "import ml_collections\n"
        "from configs import synthetic\n"
        "def get_config():\n"
        "    config = synthetic.get_config('smoke')\n"
        "    config.input.update(source='generator', target='reference', window_frames=4)\n"
        "    config.dataset.update(num_train=2, num_validation=1)\n"
        f"    config.dataset.generator = '{OWN}:Discs'\n"
        "    config.train.update(batch_size=2, num_epochs=1)\n"
        f"    config.model = ml_collections.ConfigDict({{'name': '{OWN}:Dot', 'width': 3}})\n"
        f"    config.workdir = '{tmp_path / 'run'}'\n"
        "    return config\n"
    )
    assert cli.main(["main.py", f"--config={config}", "--stage=train"]) == 0
    overview = (tmp_path / "run" / "parameters.txt").read_text()
    assert "Conv_0/kernel" in overview and "(1, 1, 1, 1, 3)" in overview
