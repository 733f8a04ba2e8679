"""Clips of latents from a network of windows: everything above put together."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from echodfkd_jax.synthesis.diffusion import (
    padding,
    predictions,
    samplers,
    schedules,
    stitching,
)

# (windows (rows, t, h, w, c), times (rows,), conditions of the rows) -> prediction of the windows.
WindowNetwork = Callable[[Array, Array, Any], Array]


def sample_clips(
    network: WindowNetwork,
    conditions: Any,
    keys: Key[Array, "b"],
    windows: stitching.Windows,
    frame_shape: tuple[int, int, int],
    *,
    alphas_cumprod: Any,
    steps: schedules.Steps,
    kind: str = predictions.V,
    clip: float | None = None,
    join: Callable[[Array, stitching.Windows], Array] = stitching.first_wins,
) -> Float[Array, "b f h w c"]:
    """Denoises whole clips, all windows together; a clip depends on its key and condition only.

    Args:
        network: sees padded windows (`padding.pad`); its prediction is cropped.
        conditions: of every clip, arrays (b, ...) in whatever structure the network takes; a frame
            among them is padded already.
        keys: one per clip: of its first noise and that of every step.
        windows: that the clips are cut into.
        frame_shape: height, width and channels of the latents.
        alphas_cumprod: the schedule that the network was trained with.
        steps: `schedules.trailing` or `schedules.leading` of it.
        kind: what the network predicts.
        clip: of the clean latents, see `predictions.estimate_of`.
        join: `stitching.first_wins` or `averaged`.
    """
    of_rows = jax.tree.map(lambda each: stitching.condition_rows(each, windows), conditions)

    def of_windows(rows: Array, time: Array, conditions: Any) -> Array:
        times = jnp.broadcast_to(time, (len(rows),))
        return padding.padded(lambda seen, _: network(seen, times, conditions))(rows, time)

    whole = stitching.stitched(of_windows, of_rows, windows, join=join)
    levels = predictions.variance_preserving(alphas_cumprod)
    denoise = predictions.denoiser(whole, kind, levels, clip=clip)
    draw = samplers.noise_of_rows(keys, (windows.num_frames, *frame_shape))
    sampler = samplers.ancestral(denoise, steps, draw)
    return samplers.run(sampler, samplers.start_of(steps, draw), steps)


def drawn_fractions(
    keys: Key[Array, "b"], least_percent: float, most_percent: float
) -> Float[Array, "b"]:
    """Ejection fractions / 100, evenly over a range, each from a key that nothing else uses."""

    def draw(key: Array) -> Array:
        return jax.random.uniform(key, (), jnp.float32, least_percent, most_percent) / 100

    return jax.vmap(draw)(keys)
