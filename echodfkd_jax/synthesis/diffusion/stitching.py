"""Long clips from a network that sees short windows: all of them are denoised together.

In every step each window of the one noisy clip goes through the network, what it predicts is put
together, and one sampler step is done on the whole clip.

Axes: b clips, f frames of the whole clip, t frames of a window. The network's rows are ordered by
windows: all clips' first windows, then all clips' second ones.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int64, Shaped

from echodfkd_jax.errors import UserError
from echodfkd_jax.synthesis.diffusion.predictions import Network

# Of EchoNet-Synthetic.
WINDOW_FRAMES, OVERLAP_FRAMES = 64, 32
# What the released formula has in place of the window's length less the overlap.
_PUBLISHED_HOP = 32


class Windows(NamedTuple):
    """Where windows lie in a clip.

    Attributes:
        starts: (r,), the first frame of each.
        length: frames of each.
        supplier: (f,), the window that gives each frame where the first one wins.
        count: (f,), windows that see each frame.
    """

    starts: Int64[np.ndarray, "r"]
    length: int
    supplier: Int64[np.ndarray, "f"]
    count: Int64[np.ndarray, "f"]

    @property
    def num_frames(self) -> int:
        """Of the whole clip: what was asked for or more, to be cropped in the end."""
        return len(self.supplier)


def plan(
    num_frames: int,
    window: int = WINDOW_FRAMES,
    overlap: int = OVERLAP_FRAMES,
    *,
    published: bool = False,
) -> Windows:
    """Windows that cover a clip.

    Args:
        num_frames: that are wanted.
        window: frames that the network sees.
        overlap: frames that neighbours share.
        published: the released formula, which is right for windows of 64 that share 32; with
            others the clip may come out shorter than asked.

    Raises:
        UserError: no frames, or an overlap that leaves nothing to a window.
    """
    if num_frames < 1 or not 0 <= overlap < window:
        raise UserError(
            f"{num_frames} frames by windows of {window} that share {overlap}: expected 1 frame or "
            "more, and an overlap of 0 or more, less than the window"
        )
    hop = window - overlap
    if published:
        rounded = math.ceil(num_frames / _PUBLISHED_HOP) * _PUBLISHED_HOP
        number = (rounded - window) // _PUBLISHED_HOP + 1 if rounded > window else 1
    else:
        number = math.ceil(max(num_frames - window, 0) / hop) + 1
    starts = hop * np.arange(number)
    frames = np.arange(starts[-1] + window)
    seen = (frames >= starts[:, None]) & (frames < starts[:, None] + window)
    return Windows(starts, window, seen.argmax(axis=0), seen.sum(axis=0))


def cut(clips: Float[Array, "b f *frame"], windows: Windows) -> Float[Array, "rows t *frame"]:
    """The windows of clips, ordered by windows."""
    frames = windows.starts[:, None] + np.arange(windows.length)
    return jnp.moveaxis(clips[:, frames], 1, 0).reshape(-1, windows.length, *clips.shape[2:])


def first_wins(rows: Float[Array, "rows t *frame"], windows: Windows) -> Float[Array, "b f *frame"]:
    """Clips from their windows; a frame is that of the first window that sees it, as published."""
    offset = np.arange(windows.num_frames) - windows.starts[windows.supplier]
    by_window = rows.reshape(len(windows.starts), -1, *rows.shape[1:])
    # Indices on both sides of a slice come first in the result.
    return jnp.moveaxis(by_window[windows.supplier, :, offset], 0, 1)


def averaged(rows: Float[Array, "rows t *frame"], windows: Windows) -> Float[Array, "b f *frame"]:
    """Clips from their windows; a frame is the mean over all windows that see it."""
    by_window = rows.reshape(len(windows.starts), -1, *rows.shape[1:])
    total = jnp.zeros((by_window.shape[1], windows.num_frames, *rows.shape[2:]), rows.dtype)
    for start, part in zip(windows.starts, by_window):
        total = total.at[:, start : start + windows.length].add(part)
    count = windows.count.reshape(-1, *(1,) * (rows.ndim - 2))
    return total / jnp.asarray(count, rows.dtype)


def condition_rows(
    condition: Shaped[Array, "b *c"], windows: Windows, *, published: bool = False
) -> Shaped[Array, "rows *c"]:
    """The condition of every row of the network.

    Args:
        condition: one per clip.
        windows: that the clips are cut into.
        published: each clip's condition for as many consecutive rows as there are windows, as if
            rows were ordered by clips. With several clips and windows most rows then get another
            clip's ejection fraction.
    """
    number = len(windows.starts)
    if published:
        return jnp.repeat(condition, number, axis=0)
    return jnp.tile(condition, (number, *(1,) * (condition.ndim - 1)))


def stitched(
    network: Callable[[Array, Array, Any], Array],
    conditions: Any,
    windows: Windows,
    *,
    join: Callable[[Array, Windows], Array] = first_wins,
) -> Network:
    """A network of windows as one of whole clips.

    Args:
        network: (windows, time, conditions of the rows) -> prediction of the windows.
        conditions: of the rows, see `condition_rows`; whatever the network takes.
        windows: that the clips are cut into.
        join: `first_wins` or `averaged`.
    """
    return lambda clips, time: join(network(cut(clips, windows), time, conditions), windows)
