"""Masks of frames as they arrive: the student is causal, so nothing has to be waited for."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, UInt8

from echodfkd_jax.networks.convlstm import Carry, ConvLSTMUNet
from echodfkd_jax.networks.inference import begin
from echodfkd_jax.networks.loaded import LoadedNetwork


class FrameMask(NamedTuple):
    """What the student says about one frame.

    Attributes:
        logits: float32 (h, w, s), the bits that the whole clip gives.
        mask: uint8 (h, w, s), round(255 * probability).
    """

    logits: Float32[Array, "h w s"]
    mask: UInt8[Array, "h w s"]


@functools.partial(jax.jit, static_argnums=0)
def step(
    model: ConvLSTMUNet,
    variables: Mapping[str, Any],
    carry: Carry,
    frame: UInt8[Array, "h w"],
) -> tuple[Carry, FrameMask]:
    """Segments the next frame.

    Args:
        model: the student.
        variables: its weights.
        carry: what it remembers; `inference.begin(model, variables, frame[None])` before the
            first frame.
        frame: grey, 0..255.

    Returns:
        What it remembers now, and the frame's mask.
    """
    video = frame[None, None, :, :, None].astype(jnp.float32)
    carry, logits = model.apply(variables, carry, video, method="advance")
    logits = cast(Array, logits)[0, 0]
    mask = jnp.round(255 * jax.nn.sigmoid(logits)).astype(jnp.uint8)
    return carry, FrameMask(logits, mask)


class Stream:
    """One running clip. Compiled when it is made, so that the first frame is as fast as others."""

    def __init__(self, network: LoadedNetwork, height: int, width: int) -> None:
        """Starts before the first frame.

        Args:
            network: a student.
            height: of the frames, in pixels.
            width: of the frames, in pixels.

        Raises:
            UserError: frames of this size do not fit the model.
        """
        self._model, self._variables = network.model, jax.device_put(network.variables)
        self._carry: Carry | None = None
        black = np.zeros((height, width), np.uint8)
        carry = begin(self._model, self._variables, black[None])
        jax.block_until_ready(step(self._model, self._variables, carry, black))

    def push(self, frame: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w s"]:
        """The next frame's soft masks, round(255 * probability), one per structure."""
        if self._carry is None:
            self._carry = begin(self._model, self._variables, frame[None])
        self._carry, found = step(self._model, self._variables, self._carry, frame)
        return np.asarray(found.mask)
