"""Being told to stop: SIGTERM, as a scheduler sends it before it takes the machine away."""

import signal
import types
from typing import Any

import jax
from jax.experimental import multihost_utils


class StopNotice:
    """While open, notes SIGTERM instead of dying of it.

    Several processes agree on a step through JAX's preemption service, which has a handler of its
    own: whichever of them is told, all get the same answers.
    """

    def __init__(self) -> None:
        """Changes nothing yet."""
        self._alone = jax.process_count() == 1
        self._told = False
        self._before: Any = None

    def __enter__(self) -> "StopNotice":
        if self._alone:
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        if self._alone:
            signal.signal(signal.SIGTERM, self._before)

    def arrived(self, step: int) -> bool:
        """Whether to stop after this step; to be asked at every step, in all processes."""
        return self._told if self._alone else multihost_utils.reached_preemption_sync_point(step)

    def _note(self, number: int, frame: types.FrameType | None) -> None:
        del number, frame
        self._told = True
