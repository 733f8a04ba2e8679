"""Soft masks of whole clips of any length, with one compilation per frame size."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8

from echodfkd_jax.networks.loaded import LoadedNetwork, structures_of

# Frames per compiled call: enough that the call itself costs nothing. A recurrent model stops at a
# clip's last frame; what pads the chunk is not computed.
CHUNK_FRAMES = 32
# Frames per compiled call of a model that looks both ways, of which both ends are thrown away.
_OVERLAPPING_FRAMES = 64


def predict_clip(
    network: LoadedNetwork, frames: UInt8[np.ndarray, "t h w"]
) -> UInt8[np.ndarray, "t h w s"]:
    """Predicts one clip.

    Args:
        network: its model has `begin` and `advance` if it has a memory, and `reach` if it looks at
            the frames before and after.
        frames: grey frames in time order.

    Returns:
        round(255 * probability) of each of `network.structures`; no frames give no frames.
    """
    return predict_clips(network, frames[None])[0]


def predict_clips(
    network: LoadedNetwork,
    frames: UInt8[np.ndarray, "b t h w"],
    *,
    shard: Callable[[np.ndarray], np.ndarray | jax.Array] = np.asarray,
) -> UInt8[np.ndarray, "b t h w s"]:
    """Predicts several clips of equal length at once; see `predict_clip`.

    `shard` may put what has the clips as its first axis on several devices.
    """
    num_frames = frames.shape[1]
    model, variables = network.model, jax.device_put(network.variables)
    reach = getattr(model, "reach", 0)
    empty = np.zeros((len(frames), 0, *frames.shape[2:], len(network.structures)), np.uint8)
    if reach:
        parts = [
            _predict_chunk(model, variables, shard(frames[:, first:last]))[:, slice(*keep)]
            for first, last, keep in overlapping_chunks(num_frames, reach)
        ]
        return np.concatenate([empty, *map(np.asarray, parts)], axis=1)
    remembers = hasattr(model, "begin") and num_frames > 0
    carry = begin(model, variables, shard(frames[:, 0])) if remembers else None
    masks = []
    for start in range(0, num_frames, CHUNK_FRAMES):
        chunk = frames[:, start : start + CHUNK_FRAMES]
        padding = CHUNK_FRAMES - chunk.shape[1]
        length = chunk.shape[1]
        chunk = np.pad(chunk, ((0, 0), (0, padding), (0, 0), (0, 0)))
        if remembers:
            carry, mask = _continue(model, variables, carry, shard(chunk), length)
        else:
            mask = _predict_chunk(model, variables, shard(chunk))
        masks.append(mask)
    # Fetched only now: the device works on the next chunk while the host prepares it.
    fetched = [np.asarray(mask) for mask in masks]
    return np.concatenate([empty, *fetched], axis=1)[:, :num_frames]


def padded_length(network: LoadedNetwork, num_frames: int) -> int:
    """The number of frames to which a clip may be filled up; clips of one length go together.

    A network that looks at later frames would see what fills it up, so nothing does there.
    """
    if getattr(network.model, "reach", 0):
        return num_frames
    return -(-num_frames // CHUNK_FRAMES) * CHUNK_FRAMES


def predict_together(
    network: LoadedNetwork, clips: Sequence[UInt8[np.ndarray, "_ h w"]], size: int
) -> list[UInt8[np.ndarray, "_ h w s"]]:
    """Predicts clips of one padded length at once; see `predict_clip`.

    Args:
        network: any.
        clips: at most `size`, of one `padded_length`, each with its own number of frames.
        size: clips in a call; where there are fewer, empty ones fill it up, so that one program
            serves all.
    """
    longest = max(len(frames) for frames in clips)
    batch = np.zeros((size, longest, *clips[0].shape[1:]), np.uint8)
    for row, frames in zip(batch, clips):
        row[: len(frames)] = frames
    # Copied, so that a clip does not keep the whole batch in memory.
    return [
        masks[: len(frames)].copy() for masks, frames in zip(predict_clips(network, batch), clips)
    ]


def overlapping_chunks(num_frames: int, reach: int) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Chunks in which every frame of a clip is seen once with all its neighbours.

    Args:
        num_frames: of the clip.
        reach: how many frames before and after a frame have a part in its mask.

    Yields:
        First and last (exclusive) frame of a chunk, all of one length, and the part of it (first
        and last, counted within the chunk) whose masks are those of the whole clip.
    """
    chunk = min(max(_OVERLAPPING_FRAMES, 3 * reach), num_frames)
    done = 0
    while done < num_frames:
        first = min(max(done - reach, 0), num_frames - chunk)
        last = first + chunk
        stop = num_frames if last == num_frames else last - reach
        yield first, last, (done - first, stop - first)
        done = stop


@functools.partial(jax.jit, static_argnums=0)
def begin(
    model: nn.Module, variables: Mapping[str, Any], first_frame: UInt8[Array, "b h w"]
) -> Any:
    """What a recurrent model remembers before clips that start with these frames."""
    return model.apply(variables, first_frame[..., None].astype(jnp.float32), method="begin")


@functools.partial(jax.jit, static_argnums=0)
def _predict_chunk(
    model: nn.Module, variables: Mapping[str, Any], frames: UInt8[Array, "b t h w"]
) -> UInt8[Array, "b t h w s"]:
    return _soft_mask(cast(Array, model.apply(variables, _video(frames), train=False)))


@functools.partial(jax.jit, static_argnums=0)
def _continue(
    model: nn.Module,
    variables: Mapping[str, Any],
    carry: Any,
    frames: UInt8[Array, "b t h w"],
    length: int | Int[Array, ""],
) -> tuple[Any, UInt8[Array, "b t h w s"]]:
    """The masks of the first `length` frames (the others' are 0), and what is remembered then."""

    def advance(number: Array, found: tuple[Any, Array]) -> tuple[Any, Array]:
        carry, masks = found
        frame = jax.lax.dynamic_slice_in_dim(frames, number, 1, axis=1)
        carry, logits = model.apply(variables, carry, _video(frame), method="advance")
        mask = _soft_mask(cast(Array, logits))
        return carry, jax.lax.dynamic_update_slice_in_dim(masks, mask, number, axis=1)

    none = jnp.zeros((*frames.shape, len(structures_of(model))), jnp.uint8)
    return jax.lax.fori_loop(0, length, advance, (carry, none))


def _video(frames: Array) -> Array:
    return frames[..., None].astype(jnp.float32)


def _soft_mask(logits: Array) -> Array:
    return jnp.round(255 * jax.nn.sigmoid(logits)).astype(jnp.uint8)
