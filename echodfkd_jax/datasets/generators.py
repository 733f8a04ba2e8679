"""Generators of endless clips by name; `config.dataset.generator` names one."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from echodfkd_jax import seams

GENERATORS = {"phantom": "echodfkd_jax.datasets.generators:phantom"}


@runtime_checkable
class Generator(Protocol):
    """A clip for every random key.

    Attributes:
        version: changes whenever the same key gives another clip; part of a data set's metadata.
    """

    version: str

    def make(self, key: jax.Array, *, num_frames: int, train: jax.Array | bool) -> Any:
        """Makes a clip; pure, to be jitted and vmapped.

        Args:
            key: of all that is drawn.
            num_frames: of the clip.
            train: whether it is to be learnt from; others are to be judged on.

        Returns:
            `frames` uint8 (t, h, w) and `mask` bool (t, h, w); to go into a data set also `fps`,
            `ef_percent`, `edv_ml`, `esv_ml`, `ed_frame` and `es_frame`, scalars.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Phantom:
    """Apical four-chamber views of hearts that never were; see `synthesis`.

    Attributes:
        version: of the generator.
        make_clip: the generator.
        poor_windows: fraction of the training clips that are seen through poor acoustic windows.
    """

    version: str
    make_clip: Callable[..., Any]
    poor_windows: float

    def make(self, key: jax.Array, *, num_frames: int, train: jax.Array | bool) -> Any:
        """See `Generator`; poor acoustic windows are for learning only."""
        poor_windows = jnp.where(train, self.poor_windows, 0.0)
        return self.make_clip(key, num_frames=num_frames, poor_windows=poor_windows)


def phantom() -> Phantom:
    """The built-in generator."""
    # Here: it takes a while to import.
    from echodfkd_jax import synthesis

    return Phantom(synthesis.VERSION, synthesis.make_clip, synthesis.TRAINING_POOR_WINDOWS)


def find_generator(name: str) -> Generator:
    """The generator that `config.dataset.generator` names.

    Raises:
        UserError: an unknown name.
    """
    if name in GENERATORS:
        return seams.find("config.dataset.generator", name, GENERATORS)()
    return _own(name)


@functools.cache
def _own(name: str) -> Generator:
    """Made once, so that what is compiled for it is kept."""
    return seams.find("config.dataset.generator", name, GENERATORS)()
