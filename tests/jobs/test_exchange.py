import json
import pathlib

import numpy as np
import pytest

from configs import synthetic
from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.torch_checkpoint import read_state_dict, write_state_dict
from echodfkd_jax.jobs import evaluate, export, import_student
from echodfkd_jax.networks.registry import build_model
from echodfkd_jax.runs import run_config
from echodfkd_jax.runs.checkpoints import Checkpoints, restore_variables
from echodfkd_jax.settings import TrainSettings
from echodfkd_jax.teachers import load_teacher
from echodfkd_jax.training.state import create_state, from_tree, make_optimizer, make_schedule
from tests.jobs import made_up_run
from tests.networks.golden_student import TESTDATA, load_golden


@pytest.fixture
def golden():
    return load_golden("student_22_filters4")


@pytest.fixture
def config(tmp_path, golden):
    """A configuration of another size, and the published student as a file without PyTorch."""
    made = synthetic.get_config("smoke").unlock()
    made.workdir = str(tmp_path / "run")
    made.import_student.file = str(tmp_path / "student.safetensors")
    write_state_dict(made.import_student.file, golden.state_dict)
    return made


def _logits(workdir, video):
    model = build_model(**json.loads((pathlib.Path(workdir) / "config.json").read_text())["model"])
    return model.apply(restore_variables(workdir)[0], video, train=False)


def test_an_imported_student_gives_the_published_logits(config, golden, capsys):
    import_student.run(config)
    np.testing.assert_allclose(
        _logits(config.workdir, golden.video), golden.eval_logits, rtol=1e-4, atol=1e-4
    )
    assert "2 blocks of 2 layers, 4 filters" in capsys.readouterr().out


def test_a_lightning_checkpoint_is_imported(config, golden):
    pytest.importorskip("torch")
    config.import_student.file = str(TESTDATA / "student_22_filters4.ckpt")
    import_student.run(config)
    np.testing.assert_allclose(
        _logits(config.workdir, golden.video), golden.eval_logits, rtol=1e-4, atol=1e-4
    )


def test_there_and_back_is_the_same_state_dict(config, golden, tmp_path):
    import_student.run(config)
    config.export.update(format="pytorch", file=str(tmp_path / "back.safetensors"))
    export.run(config)
    back = read_state_dict(config.export.file)
    assert back.keys() == golden.state_dict.keys()
    for key, value in back.items():
        if not key.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(value, golden.state_dict[key])


def test_an_imported_student_is_evaluated_like_any_other(config, tmp_path):
    import_student.run(config)
    config.eval.clips_dir = str(made_up_run.save_clips(tmp_path / "clips"))
    config.eval.bootstrap_samples = 20
    config.teacher = {"name": "precomputed", "weights": ""}
    metrics = json.loads((evaluate.run(config) / "metrics.json").read_text())
    assert metrics["num_clips"] == 3
    assert metrics["num_weights"] == 10_385


@pytest.mark.slow
def test_an_imported_student_can_be_trained_further(config, golden):
    import_student.run(config)
    saved = run_config.load(config.workdir)
    config.model = saved.model
    run_config.check_same(config, saved)
    tree, progress = Checkpoints(config.workdir, keep_latest=1).restore_latest()
    settings = TrainSettings(**config.train)
    optimizer = make_optimizer(settings, make_schedule(settings, 10))
    state = from_tree(create_state(build_model(**config.model), optimizer, 0), tree)
    assert (int(state.step), progress.epoch) == (0, 0)
    bias = state.params["cell_0_0"]["bias"]
    key = "model.conv_lstm_blocks.0.conv_lstm_layers.0.cell.conv.bias"
    np.testing.assert_array_equal(bias, golden.state_dict[key])


def test_an_exported_student_is_a_teacher(config, golden, tmp_path):
    import_student.run(config)
    config.export.file = str(tmp_path / "teacher.safetensors")
    export.run(config)
    teacher = load_teacher("student", weights=config.export.file)
    frames = golden.video[0, ..., 0]
    expected = 1 / (1 + np.exp(-np.asarray(golden.eval_logits[0])))
    np.testing.assert_allclose(teacher.apply_fn(frames), expected, atol=1e-4)


def test_a_run_is_not_written_over(config):
    import_student.run(config)
    with pytest.raises(UserError, match=r"has a run already; set another config\.workdir"):
        import_student.run(config)


def test_another_networks_checkpoint_is_refused_by_name(config, golden):
    del golden.state_dict["model.output_layer.layer.bias"]
    write_state_dict(config.import_student.file, golden.state_dict)
    with pytest.raises(UserError, match=r"student\.safetensors: .*output_layer.*bias is missing"):
        import_student.run(config)
    assert not pathlib.Path(config.workdir).exists()


def test_a_missing_file_name_is_named(config):
    config.import_student.file = ""
    with pytest.raises(UserError, match=r"config\.import_student\.file is empty"):
        import_student.run(config)
