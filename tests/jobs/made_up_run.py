"""A run that was never trained, and clips to evaluate it on; made in a second or two."""

import json
import pathlib

import jax.numpy as jnp
import numpy as np

from configs import synthetic
from echodfkd_jax.clips import video
from echodfkd_jax.networks.registry import build_model
from echodfkd_jax.runs import run_config
from echodfkd_jax.runs.checkpoints import Checkpoints, all_steps
from echodfkd_jax.runs.progress import Progress
from tests import factories
from tests.clips import echonet_folder

FPS = 50.0


def config(workdir: pathlib.Path):
    """The smoke configuration with the smallest network and data set, unlocked."""
    made = synthetic.get_config("smoke").unlock()
    made.workdir = str(workdir)
    made.dataset.update(
        data_dir=str(workdir / "data"), num_train=1, num_validation=1, num_test=5, num_frames=6
    )
    made.model.update(blocks=1, layers=1, filters=2, subsampling=8)
    made.eval.bootstrap_samples = 50
    return made


def save_run(made, steps=(3,), epochs_left=0, seed=0):
    """Writes config.json, checkpoints of random weights and metrics.jsonl.

    The losses are such that the first step is the best. A step that is there already is kept.
    """
    workdir = pathlib.Path(made.workdir)
    run_config.save(made)
    model = build_model(**run_config.network_fields(made))
    checkpoints = Checkpoints(workdir, keep_latest=len(steps))
    lines = []
    there = all_steps(workdir)
    for epoch, step in enumerate(steps, 1):
        if step in there:
            continue
        variables = factories.random_weights(
            model, jnp.zeros((1, 1, 112, 112, 1)), seed=seed + step
        )
        loss = 0.1 * epoch
        done = made.train.num_epochs - epochs_left - len(steps) + epoch
        checkpoints.save(
            variables,
            Progress(
                step=step,
                epoch=done,
                validation_loss=loss,
                best_validation_loss=0.1,
                best_step=steps[0],
            ),
        )
        lines.append({"step": step, "epoch": done, "time_s": 1.0, "train/loss": 0.5 / epoch})
        lines.append(
            {"step": step, "epoch": done, "time_s": 2.0, "validation/loss": loss}
            | {"validation/dice": 0.5}
        )
    checkpoints.close()
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def save_clips(folder: pathlib.Path, names=("a", "b", "c"), *, masks: bool = True) -> pathlib.Path:
    """A folder in the EchoNet layout: beating ellipses of 24, 25, ... frames, without tracings."""
    (folder / "Videos").mkdir(parents=True)
    rows = ["FileName,EF,ESV,EDV,FPS,Split"]
    for index, name in enumerate(names):
        frames, mask = echonet_folder.beat(24 + index)
        video.write_avi(folder / "Videos" / f"{name}.avi", frames, FPS)
        rows.append(f"{name},{50 + 5 * index},60,120,{FPS},TEST")
        if masks:
            (folder / "TeacherMasks").mkdir(exist_ok=True)
            np.savez_compressed(folder / "TeacherMasks" / f"{name}.seg.npz", mask[:, None])
    (folder / "FileList.csv").write_text("\n".join(rows) + "\n")
    return folder
