"""Soft masks of whole clips of any length, with one compilation per frame size."""

import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt8

# Frames per compiled call: few enough that a short clip's padding costs little, enough that the
# call itself costs nothing.
CHUNK_FRAMES = 32


def predict_clip(
    model: nn.Module, variables: Mapping[str, Any], frames: UInt8[np.ndarray, "t h w"]
) -> UInt8[np.ndarray, "t h w"]:
    """Predicts one clip.

    Args:
        model: takes video (b, t, h, w, 1) in 0..255 and gives logits; with `begin` and `advance`
            if it has a memory.
        variables: the model's variables.
        frames: grey frames in time order.

    Returns:
        round(255 * probability) of the left ventricle; no frames give no frames.
    """
    return predict_clips(model, variables, frames[None])[0]


def predict_clips(
    model: nn.Module, variables: Mapping[str, Any], frames: UInt8[np.ndarray, "b t h w"]
) -> UInt8[np.ndarray, "b t h w"]:
    """Predicts several clips of equal length at once; see `predict_clip`."""
    num_frames = frames.shape[1]
    variables = jax.device_put(variables)
    remembers = hasattr(model, "begin") and num_frames > 0
    carry = begin(model, variables, frames[:, 0]) if remembers else None
    masks = []
    for start in range(0, num_frames, CHUNK_FRAMES):
        chunk = frames[:, start : start + CHUNK_FRAMES]
        padding = CHUNK_FRAMES - chunk.shape[1]
        chunk = np.pad(chunk, ((0, 0), (0, padding), (0, 0), (0, 0)))
        carry, mask = _predict_chunk(model, variables, carry, chunk)
        masks.append(mask)
    # Fetched only now: the device works on the next chunk while the host prepares it.
    fetched = [np.asarray(mask) for mask in masks]
    return np.concatenate([frames[:, :0], *fetched], axis=1)[:, :num_frames]


@functools.partial(jax.jit, static_argnums=0)
def begin(
    model: nn.Module, variables: Mapping[str, Any], first_frame: UInt8[Array, "b h w"]
) -> Any:
    """What a recurrent model remembers before clips that start with these frames."""
    return model.apply(variables, first_frame[..., None].astype(jnp.float32), method="begin")


@functools.partial(jax.jit, static_argnums=0)
def _predict_chunk(
    model: nn.Module,
    variables: Mapping[str, Any],
    carry: Any,
    frames: UInt8[Array, "b t h w"],
) -> tuple[Any, UInt8[Array, "b t h w"]]:
    video = frames[..., None].astype(jnp.float32)
    if carry is None:
        logits = model.apply(variables, video, train=False)
    else:
        carry, logits = model.apply(variables, carry, video, method="advance")
    mask = jnp.round(255 * jax.nn.sigmoid(logits[..., 0])).astype(jnp.uint8)
    return carry, mask
