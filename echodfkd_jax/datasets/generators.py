"""Generators of endless clips by name; `config.dataset.generator` names one."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from echodfkd_jax import seams
from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE, Structures, pick_structures

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
            `frames` uint8 (t, h, w) and `mask` bool (t, h, w), of the left ventricle; to go into a
            data set also `fps`, `ef_percent`, `edv_ml`, `esv_ml`, `ed_frame` and `es_frame`,
            scalars. A generator that has an attribute `structures`, names, also makes `structures`,
            bool (t, h, w, s): exact masks of them. One that has a method `make_window`, as
            `Phantom.make_window`, is asked for windows where nothing else is needed.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Phantom:
    """Apical four-chamber views of hearts that never were; see `synthesis`.

    Attributes:
        version: of the generator.
        make_clip: the generator of clips.
        cut_window: the generator of windows.
        poor_windows: fraction of the training clips that are seen through poor acoustic windows.
        structures: of which it gives exact masks.
    """

    version: str
    make_clip: Callable[..., Any]
    cut_window: Callable[..., Any]
    poor_windows: float
    structures: Structures = LV_ALONE

    def make(self, key: jax.Array, *, num_frames: int, train: jax.Array | bool) -> Any:
        """See `Generator`; poor acoustic windows are for learning only."""
        poor_windows = jnp.where(train, self.poor_windows, 0.0)
        return self.make_clip(key, num_frames=num_frames, poor_windows=poor_windows)

    def make_window(
        self,
        key: jax.Array,
        *,
        num_frames: int,
        shown: Sequence[int],
        outlined: Sequence[int],
        phases: float,
        train: jax.Array | bool,
    ) -> Any:
        """Frames of a longer clip.

        Args:
            key: of all that is drawn.
            num_frames: of the window.
            shown: numbers of the frames of the window that are made.
            outlined: of those whose masks are.
            phases: probability that end-diastole or end-systole is in the middle.
            train: see `make`.
        """
        poor_windows = jnp.where(train, self.poor_windows, 0.0)
        return self.cut_window(
            key,
            num_frames=num_frames,
            shown=shown,
            outlined=outlined,
            phases=phases,
            poor_windows=poor_windows,
        )


def phantom() -> Phantom:
    """The built-in generator."""
    # Here: it takes a while to import.
    from echodfkd_jax import synthesis

    return Phantom(
        synthesis.VERSION,
        synthesis.make_clip,
        synthesis.make_window,
        synthesis.TRAINING_POOR_WINDOWS,
        synthesis.STRUCTURES,
    )


def exact_masks(generator: Generator, made: Any, wanted: Structures) -> Any:
    """The masks (t, h, w, s) of some structures of a clip that a generator made.

    Raises:
        UserError: it does not know one of them.
    """
    if wanted == LV_ALONE:
        return made.mask[..., None]
    known = tuple(getattr(generator, "structures", LV_ALONE))
    masks = made.mask[..., None] if known == LV_ALONE else made.structures
    return pick_structures(masks, known, wanted, f"generator {generator.version!r}")


def maker(
    generator: Generator,
    structures: Structures,
    *,
    num_frames: int,
    shown: Sequence[int],
    outlined: Sequence[int],
    phases: float = 0.0,
) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """A generator as a function that gives nothing but some frames and exact masks; pure like it.

    Args:
        generator: that makes them.
        structures: of which masks are wanted.
        num_frames: of a window.
        shown: numbers of those of its frames that are wanted.
        outlined: of those whose masks are wanted.
        phases: probability that end-diastole or end-systole is in the window's middle.

    Raises:
        UserError: `phases` of a generator that cuts no windows out of longer clips.
    """
    cut = getattr(generator, "make_window", None)
    if cut is None and phases:
        raise UserError(
            f"config.input.phase_windows={phases}: generator {generator.version!r} has no "
            "make_window; use 0, or prepare a data set (config.input.source='dataset')"
        )

    def make(key: jax.Array, *, train: jax.Array | bool) -> tuple[jax.Array, jax.Array]:
        if cut is None:
            made = generator.make(key, num_frames=num_frames, train=train)
            masks = exact_masks(generator, made, structures)
            return made.frames[jnp.asarray(shown)], masks[jnp.asarray(outlined)]
        wanted = {"num_frames": num_frames, "shown": shown, "outlined": outlined}
        made = cut(key, **wanted, phases=phases, train=train)
        return made.frames, exact_masks(generator, made, structures)

    return make


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
