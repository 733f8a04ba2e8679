"""The builder as a Beam pipeline; skipped where apache-beam is not installed."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from echodfkd_jax.datasets import prepared as dataset
from tests.clips import echonet_folder

pytest.importorskip("apache_beam")

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = '{"name": "echonet_dynamic", "teacher": {"name": "precomputed"}}'
BEAM = "runner=DirectRunner,direct_num_workers=2,direct_running_mode=multi_processing"


def _build(folder, data_dir, *args):
    places = (f"--manual_dir={folder}", f"--data_dir={data_dir}")
    command = ("data/tfds_build.py", "data/echo_clips", f"--config={CONFIG}", *places, *args)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        # Worker processes have to find the project and the data set's package by themselves.
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": f"{ROOT}:{ROOT / 'data'}"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    (path,) = data_dir.rglob("dataset_info.json")
    return path.parent


@pytest.mark.slow
def test_two_workers_make_the_same_data_set(tmp_path):
    folder = echonet_folder.build(tmp_path / "EchoNet-Dynamic")
    alone = _build(folder, tmp_path / "alone")
    beam = _build(folder, tmp_path / "beam", f"--beam_pipeline_options={BEAM}")
    names = {path.name for path in alone.iterdir()}
    # Only Beam leaves what tells it the lengths of its shards.
    assert {p.name for p in beam.iterdir() if "shard_infos" not in p.name} == names
    assert any("shard_infos" in path.name for path in beam.iterdir())
    for split in ("train", "validation", "test"):
        one, other = (dataset.open_split(path, split) for path in (alone, beam))
        assert [clip.name for clip in map(one.__getitem__, range(len(one)))] == [
            other[index].name for index in range(len(other))
        ]
        np.testing.assert_array_equal(one[0].frames, other[0].frames)
        np.testing.assert_array_equal(one[0].teacher_mask, other[0].teacher_mask)
