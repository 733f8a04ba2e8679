"""Noise that moves with the tissue, so that texture follows the wall.

Independent noise in every frame makes a texture that flickers; the same noise in every frame makes
one that stands still while the heart moves through it. Here a pixel's noise goes with the piece of
tissue that it lies on. Every frame by itself stays white: no noise is spread or averaged, each
number of the first frame is handed to one pixel at most, and what gets none has its own.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int64
from scipy import spatial

from echodfkd_jax.errors import UserError
from echodfkd_jax.synthesis.diffusion.samplers import Draw


def coarser(points: Float[np.ndarray, "t h w 2"], factor: int) -> Float[np.ndarray, "t hh ww 2"]:
    """The same of pixels that are larger, such as those of latents: means of `points`.

    Args:
        points: see `sources`.
        factor: sides of a larger pixel; it divides those of the frames.

    Returns:
        Where the tissue of every larger pixel lies at rest, in larger pixels.

    Raises:
        UserError: the sides cannot be divided.
    """
    count, height, width, _ = points.shape
    if height % factor or width % factor:
        raise UserError(f"frames of {height} x {width} pixels cannot be divided by {factor}")
    blocks = points.reshape(count, height // factor, factor, width // factor, factor, 2)
    return blocks.mean(axis=(2, 4)) / factor


def sources(
    points: Float[np.ndarray, "t h w 2"], reach: float = 0.75
) -> Int64[np.ndarray, "t h w"]:
    """Which pixel of the first frame shows the tissue that a pixel shows.

    Args:
        points: where the tissue of every pixel lies in the heart at rest, in pixels.
        reach: how far, in pixels at rest, two may lie apart and still be the same.

    Returns:
        Numbers of the first frame's pixels, row by row, each once in a frame at most: where two
        pixels ask for the same, the nearer one gets it. -1 where there is none.
    """
    flat = points.reshape(len(points), -1, 2)
    tree = spatial.KDTree(flat[0])
    found = np.full(flat.shape[:2], -1)
    for frame, places in enumerate(flat):
        distance, nearest = map(np.asarray, tree.query(places, distance_upper_bound=reach))
        order = np.argsort(distance, kind="stable")
        order = order[np.isfinite(distance[order])]
        taken, first = np.unique(nearest[order], return_index=True)
        found[frame, order[first]] = taken
    return found.reshape(points.shape[:3])


def carried(
    noise: Float[Array, "t h w c"], sources: Int[np.ndarray | Array, "t h w"]
) -> Float[Array, "t h w c"]:
    """Noise of every frame: the first frame's where the tissue is from there, else its own.

    Args:
        noise: standard normal, independent in all frames.
        sources: see `sources`.
    """
    first = noise[0].reshape(-1, noise.shape[-1])
    return jnp.where((sources >= 0)[..., None], first[sources], noise)


def carrying(draw: Draw, sources: Int64[np.ndarray, "t h w"]) -> Draw:
    """A sampler's noise, carried in every step; of the noise that it starts with too."""
    return lambda step: carried(draw(step), sources)
