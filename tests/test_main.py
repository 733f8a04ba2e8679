"""The real command in a process of its own: what it says when something is wrong."""

import os
import pathlib
import subprocess
import sys
import time

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
            ["config.train.batch_size='many'", "a whole number"],
        ),
        (
            ["--config=configs/synthetic.py", "--config.train.learning_rate=1e"],
            ["config.train.learning_rate='1e'", "a number"],
        ),
        (["--config=configs/synthetic.py", "--config.train=1"], ["config.train is a section"]),
        (["--config=configs/synthetic.py", "--config.seed"], ["--config.seed has no value"]),
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
def test_a_mistake_is_answered_in_one_line(args, parts):
    done = _main(*args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    for part in parts:
        assert part in done.stderr


def test_help_is_there_in_two_seconds():
    start = time.perf_counter()
    done = _main("--help")
    assert time.perf_counter() - start < 2.0
    assert done.returncode == 0
    for word in ("--config", "--stage", "prepare", "report"):
        assert word in done.stdout


def _parse(*args: str) -> cli.Command:
    return cli.parse(["main.py", f"--config={ROOT}/configs/synthetic.py", *args])


def test_all_stages_in_turn_by_default():
    assert _parse().stages == ("prepare", "train", "evaluate", "report")
    assert _parse("--stage=report").stages == ("report",)


def test_overrides_take_the_type_of_the_default():
    config = _parse(
        "--config.train.batch_size=3",
        "--config.train.clip_norm=2",
        "--config.eval.checkpoint=120",
        "--config.workdir",
        "/somewhere/else",
    ).config
    assert config.train.batch_size == 3
    assert isinstance(config.train.clip_norm, float)
    assert config.eval.checkpoint == "120"
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
            cli.load_config(str(tmp_path / "broken.py"))
