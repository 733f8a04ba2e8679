"""The command: what it says when something is wrong."""

import errno
import logging
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from echodfkd_jax import cli
from echodfkd_jax.errors import UserError

ROOT = pathlib.Path(__file__).parents[1]


def _main(*args: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "main.py", *args],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        ([], ["--config is missing", "configs/synthetic.py"]),
        (["--config=configs/synthetc.py"], ["no file configs/synthetc.py", "configs/synthetic.py"]),
        (["--config=configs/synthetic.py:smok"], ["'smok' is unknown", ":smoke"]),
        (["--config=configs/synthetic.py", "--stage=tran"], ["--stage=tran", "mean train?"]),
        (["--config=configs/synthetic.py", "--stge=train"], ["--stge", "mean stage?"]),
        (["--config=configs/synthetic.py", "train"], ["'train' is not a flag"]),
        (
            ["--config=configs/synthetic.py", "--config.trian.batch_size=1"],
            ["config.trian is no field", "mean train?"],
        ),
        (
            ["--config=configs/synthetic.py", "--config.train.batch_sise=1"],
            ["config.train.batch_sise is no field", "mean batch_size?"],
        ),
        (
            ["--config=configs/synthetic.py", "--config.train.batch_size=many"],
            ["config.train.batch_size=many", "invalid literal for int()"],
        ),
        (
            ["--config=configs/synthetic.py", "--config.train.learning_rate=1e"],
            ["config.train.learning_rate=1e", "could not convert string to float"],
        ),
        (
            ["--config=configs/synthetic.py", "--config.train=1"],
            ["config.train=1", "not a dict"],
        ),
        (
            ["--config=configs/synthetic.py", "--config.seed"],
            ["Missing value", "--config.seed"],
        ),
        (
            ["--config=configs/synthetic.py", "--stage=train", "--config.train.patience=-1"],
            ["config.train.patience=-1", "0 or more"],
        ),
        (
            ["--config=configs/synthetic.py", "--stage=train", "--config.parallel.mode=xmap"],
            ["config.parallel.mode='xmap'", "'jit' or 'pmap'"],
        ),
    ],
)
def test_a_mistake_is_answered_in_one_line(args, parts, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert cli.main(["main.py", *args]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    for part in parts:
        assert part in said.err


def test_a_process_ends_with_the_line_and_the_status():
    done = _main("--config=configs/synthetic.py", "--stage=train", "--config.train.patience=-1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: config.train.patience=-1")
    assert done.stderr.count("\n") == 1


def test_help_names_the_flags_and_the_stages(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["main.py", "--help"])
    assert not ended.value.code
    said = capsys.readouterr().out
    for word in ("--config", "--stage", "prepare", "report"):
        assert word in said


def _parse(*args: str) -> cli.Command:
    return cli.parse(["main.py", f"--config={ROOT}/configs/synthetic.py", *args])


def test_all_stages_in_turn_by_default():
    assert _parse().stages == ("prepare", "train", "evaluate", "report")
    assert _parse("--stage=report").stages == ("report",)


def test_overrides_take_the_type_of_the_default():
    config = _parse(
        "--config.train.batch_size=3",
        "--config.train.clip_norm=2",
        "--config.student.checkpoint=120",
        "--config.workdir",
        "/somewhere/else",
    ).config
    assert config.train.batch_size == 3
    assert isinstance(config.train.clip_norm, float)
    assert config.student.checkpoint == "120"
    assert config.workdir == "/somewhere/else"


def test_values_with_commas_become_a_tuple():
    path = f"--config={ROOT}/configs/teacher.py"
    for text in ("8,16", "(8, 16)", "[8,16]"):
        command = cli.parse(["main.py", path, f"--config.model.channels={text}"])
        assert command.config.model.channels == (8, 16)


def test_configuration_is_locked():
    with pytest.raises(AttributeError):
        _parse().config.train.new_field = 1


def test_a_file_that_is_no_configuration(tmp_path):
    for text in ("x = 1", "def get_config(:", "import no_such_module"):
        (tmp_path / "broken.py").write_text(text)
        with pytest.raises(UserError, match=r"broken\.py cannot be used"):
            cli.parse(["main.py", f"--config={tmp_path / 'broken.py'}"])


def test_the_stage_may_come_first_and_a_clip_after_predict():
    command = cli.parse(["echodfkd", "predict", "a.avi", "--config.predict.crop=full"])
    assert command.stages == ("predict",)
    assert (command.config.predict.inputs, command.config.predict.crop) == ("a.avi", "full")


def test_training_needs_a_configuration():
    with pytest.raises(UserError, match="--config is missing"):
        cli.parse(["echodfkd", "train"])


class Fails:
    """Raises where nobody can catch it."""

    def __init__(self, error):
        self.error = error

    def __del__(self):
        raise self.error


def test_what_a_full_disk_made_writers_and_threads_raise_is_not_told_again(monkeypatch, capsys):
    for owner, name in ((sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # Put back at the end.
    assert cli.main(["main.py"]) == 2
    capsys.readouterr()

    def fail(error):
        raise error

    def everywhere(error):
        Fails(error)
        thread = threading.Thread(target=fail, args=(error,))
        thread.start()
        thread.join()
        logging.getLogger("asyncio").error("never retrieved", exc_info=error)
        return capsys.readouterr().err

    assert everywhere(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) == ""
    assert everywhere(ValueError("a mistake")).count("ValueError: a mistake") == 3
