import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from echodfkd_jax.datasets import builder as echo_clips_dataset_builder
from echodfkd_jax.datasets import builder_config
from echodfkd_jax.datasets import prepared as dataset
from echodfkd_jax.errors import UserError
from tests.clips import echonet_folder

ROOT = pathlib.Path(__file__).parents[2]
PRECOMPUTED = {"name": "precomputed"}
TFDS_NEEDS = ("tensorflow", "apache_beam", "mlcroissant")

# Prepares 6 generated clips with stand-ins; the teacher takes half a second for each.
SLOW_PREPARE = """
import sys, time
import ml_collections
import pytest
from echodfkd_jax.jobs import prepare
from tests.datasets import stand_ins

class Slow(stand_ins.CountingTeacher):
    def __call__(self, frames):
        time.sleep(0.5)
        return super().__call__(frames)

with pytest.MonkeyPatch.context() as monkeypatch:
    teacher = stand_ins.use(monkeypatch, Slow())
    numbers = {"num_train": 3, "num_validation": 2, "num_test": 1, "num_frames": 4, "seed": 0}
    prepare.run(ml_collections.ConfigDict({
        "dataset": {"name": "synthetic", "data_dir": sys.argv[1], **numbers},
        "teacher": {"name": "unet", "weights": ""},
    }))
    print("labelled", teacher.num_clips)
"""


def test_every_registered_configuration_can_be_asked_for_by_name(tmp_path):
    builder = echo_clips_dataset_builder.Builder(data_dir=tmp_path, config="echonet_synthetic")
    expected = dataset.directory({"name": "echonet_synthetic", "data_dir": str(tmp_path)}, {})
    assert pathlib.Path(builder.data_dir) == expected
    assert builder.info.features["frames"].shape == (None, 112, 112, 1)


def test_bare_build_makes_the_default_only():
    names = [config.name for config in echo_clips_dataset_builder.Builder.BUILDER_CONFIGS]
    assert names == ["synthetic"]


def test_builder_and_reader_agree_on_the_name_of_other_recipes(tmp_path):
    config = builder_config.EchoClipsConfig("synthetic", parameters={"num_train": 5, "seed": 9})
    builder = echo_clips_dataset_builder.Builder(data_dir=tmp_path, config=config)
    fields = {"name": "synthetic", "data_dir": str(tmp_path), "num_train": 5, "seed": 9}
    assert pathlib.Path(builder.data_dir) == dataset.directory(fields, {"name": "unet"})


def test_misspelt_parameter_is_named():
    with pytest.raises(UserError, match=r"config\.dataset\.sede is unknown"):
        builder_config.EchoClipsConfig("synthetic", parameters={"sede": 1})


def _commands():
    missing = [name for name in TFDS_NEEDS if importlib.util.find_spec(name) is None]
    reason = f"the program tfds needs {', '.join(missing)}"
    tfds_program = str(pathlib.Path(sys.executable).parent / "tfds")
    return [
        pytest.param([sys.executable, str(ROOT / "data" / "tfds_build.py")], id="tfds_build.py"),
        pytest.param(
            [tfds_program, "build"],
            id="tfds",
            marks=pytest.mark.skipif(bool(missing), reason=reason),
        ),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("command", _commands())
@pytest.mark.parametrize(("folder", "name"), [(".", "data/echo_clips"), ("data/echo_clips", "")])
def test_tfds_build(tmp_path, command, folder, name):
    manual_dir = tmp_path / "manual"
    echonet_folder.build(manual_dir / "EchoNet-Dynamic")
    config = json.dumps({"name": "echonet_dynamic", "teacher": PRECOMPUTED})
    flags = [f"--data_dir={tmp_path}", f"--manual_dir={manual_dir}", f"--config={config}"]
    subprocess.run(
        [*command, *([name] if name else []), *flags], cwd=ROOT / folder, check=True, timeout=300
    )
    target = dataset.directory({"name": "echonet_dynamic", "data_dir": str(tmp_path)}, PRECOMPUTED)
    assert len(dataset.open_split(target, "train")) == 12
    assert (target / "prepare_report.json").is_file()


@pytest.mark.slow
def test_killed_build_goes_on_and_leaves_nothing_behind(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SLOW_PREPARE, str(tmp_path)]
    labels = tmp_path / "echo_clips" / ".labels"
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        deadline = time.monotonic() + 120
        while len(list(labels.rglob("*.npz"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    num_kept = len(list(labels.rglob("*.npz")))
    assert 2 <= num_kept < 6
    assert len(list(tmp_path.rglob("incomplete.*"))) == 1
    second = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True, timeout=300
    )
    assert second.stdout.splitlines()[-1] == f"labelled {6 - num_kept}"
    assert not list(tmp_path.rglob("incomplete.*"))
    assert not list(labels.iterdir())
    (info,) = tmp_path.rglob("dataset_info.json")
    assert len(dataset.open_split(info.parent, "train")) == 3


def test_real_layout_of_a_download_is_found(tmp_path):
    # `EchoNet-Dynamic.zip` unpacks to a folder of that name inside manual_dir.
    folder = echonet_folder.build(tmp_path / "EchoNet-Dynamic")
    shutil.rmtree(folder / "TeacherMasks")
    from echodfkd_jax.datasets import sources

    assert sources.folder_fingerprint(tmp_path) == sources.folder_fingerprint(folder)
