"""Downloaded corrections become a data set, and a small network learns one step of them."""

import json
import pathlib

import numpy as np

from configs import synthetic
from echodfkd_jax.datasets import prepared
from echodfkd_jax.jobs import prepare, train
from echodfkd_jax.runs.checkpoints import Checkpoints


def config(downloaded: pathlib.Path, workdir: pathlib.Path, target: str = "tracings"):
    """What docs/serve.md says, with the smallest network."""
    made = synthetic.get_config("smoke").unlock()
    made.workdir = str(workdir / "run")
    made.dataset.update(name="folder", manual_dir=str(downloaded), data_dir=str(workdir / "data"))
    made.teacher.update(name="precomputed", weights="")
    made.input.update(target=target, window_frames=8, num_threads=0)
    made.model.update(blocks=1, layers=1, filters=2, subsampling=8)
    made.train.update(batch_size=1, num_epochs=1, warmup_steps=0, learning_rate=1e-2)
    return made


def prepared_clips(made) -> dict[str, prepared.ClipSource]:
    """The three splits of the data set, which is made."""
    folder = prepare.run(made)
    return {split: prepared.open_split(folder, split) for split in ("train", "validation", "test")}


def learn_one_step(made) -> dict[str, float]:
    """Trains one step and returns what was written of it, with the step."""
    train.run(made)
    written = (pathlib.Path(made.workdir) / "metrics.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in written]
    checkpoints = Checkpoints(made.workdir, keep_latest=1)
    variables, progress = checkpoints.restore_latest()
    checkpoints.close()
    assert progress.step == 1
    assert all(np.isfinite(leaf).all() for leaf in _leaves(variables))
    return {key: value for line in lines for key, value in line.items()}


def _leaves(tree):
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in _leaves(value)]
    return [np.asarray(tree)] if np.asarray(tree).dtype.kind == "f" else []
