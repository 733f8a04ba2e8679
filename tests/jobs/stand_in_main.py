"""`main.py` with tiny clips: 16x16 discs instead of hearts, so that a run takes seconds.

Run as `python tests/jobs/stand_in_main.py --config=... --stage=train`; everything but the clips is
the real command. `start` runs it in a process that has imported everything already.
"""

import atexit
import multiprocessing
import multiprocessing.process
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from echodfkd_jax import cli
from echodfkd_jax.datasets import generators, prepared
from echodfkd_jax.types import Clip

SIZE = 16


class DiscClip(NamedTuple):
    frames: jax.Array
    mask: jax.Array


def make_clip(
    key: jax.Array, *, num_frames: int, poor_windows: jax.Array | float = 0.0
) -> DiscClip:
    """A bright disc that beats, on noise."""
    radius_key, noise_key = jax.random.split(key)
    time = jnp.arange(num_frames)[:, None, None]
    radius = jax.random.uniform(radius_key, minval=3.0, maxval=6.0) + jnp.sin(time)
    y, x = jnp.mgrid[:SIZE, :SIZE] - SIZE // 2
    mask = x**2 + y**2 < radius**2
    noise = jax.random.uniform(noise_key, mask.shape, maxval=100.0)
    return DiscClip((noise + 100.0 * mask).astype(jnp.uint8), mask)


def cut_window(
    key: jax.Array,
    *,
    num_frames: int,
    shown: Sequence[int],
    outlined: Sequence[int],
    phases: jax.Array | float = 0.0,
    poor_windows: jax.Array | float = 0.0,
) -> DiscClip:
    """Some of its frames."""
    made = make_clip(key, num_frames=num_frames, poor_windows=poor_windows)
    return DiscClip(made.frames[jnp.asarray(shown)], made.mask[jnp.asarray(outlined)])


class DiscSplit:
    """`num_clips` disc clips of 12 frames."""

    def __init__(self, num_clips: int, seed: int) -> None:
        self._num_clips, self._seed = num_clips, seed

    def __len__(self) -> int:
        return self._num_clips

    def __getitem__(self, index: int) -> Clip:
        made = make_clip(jax.random.key(self._seed * 1000 + index), num_frames=12)
        nan = float("nan")
        return Clip(
            name=f"disc_{index}",
            frames=np.array(made.frames),
            fps=nan,
            ef_percent=nan,
            edv_ml=nan,
            esv_ml=nan,
            ed_frame=-1,
            es_frame=-1,
            reference_frames=np.arange(12),
            reference_masks=np.array(made.mask)[..., None],
            teacher_mask=np.array(made.mask)[..., None].astype(np.uint8) * 255,
        )


def install() -> None:
    """Puts the stand-ins where the job finds the generator and the data set."""
    generators.GENERATORS["phantom"] = f"{__name__}:disc_generator"
    prepared.directory = lambda *args, **kwargs: pathlib.Path("discs")
    prepared.open_split = lambda folder, split: DiscSplit(*{"train": (6, 1)}.get(split, (3, 2)))


def disc_generator() -> generators.Phantom:
    """Discs by the name of the built-in generator."""
    return generators.Phantom("discs", make_clip, cut_window, 0.5)


def start(
    argv: list[str], log: pathlib.Path, *, devices: int = 1
) -> multiprocessing.process.BaseProcess:
    """Runs the command in a process of its own, whose output is added to `log`."""
    context = multiprocessing.get_context("forkserver")
    # Imported once: a start takes a fraction of the time.
    context.set_forkserver_preload(["tests.jobs.stand_in_imports"])
    process = context.Process(target=_command, args=(argv, str(log), devices))
    process.start()
    return process


def _command(argv: list[str], log: str, devices: int) -> None:
    with pathlib.Path(log).open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    install()
    status = cli.main(["main.py", *argv])
    sys.stdout.flush()
    atexit._run_exitfuncs()  # A forked process would leave JAX's processes without a word.
    sys.exit(status)


if __name__ == "__main__":
    install()
    sys.exit(cli.main(sys.argv))
