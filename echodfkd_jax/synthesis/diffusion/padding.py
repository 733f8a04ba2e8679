"""Latents of 14 x 14 for networks that halve their input three times."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from echodfkd_jax.synthesis.diffusion.predictions import Network

MULTIPLE = 8


class Border(NamedTuple):
    """What is added to an axis."""

    before: int
    after: int


def border(size: int, *, published: bool = False) -> Border:
    """What makes an axis a multiple of eight.

    Args:
        size: of the axis.
        published: the released rule, which agrees for 14 and 12; it adds four pixels on each side
            of what is a multiple already, and leaves odd sizes odd.
    """
    missing = MULTIPLE - size % MULTIPLE if published else -size % MULTIPLE
    before = missing // 2
    return Border(before, before if published else missing - before)


def pad(
    images: Float[Array, "*rows h w c"], *, published: bool = False
) -> Float[Array, "*rows hh ww c"]:
    """Images with their outermost pixels repeated."""
    height, width = (border(size, published=published) for size in images.shape[-3:-1])
    around = [(0, 0)] * (images.ndim - 3) + [tuple(height), tuple(width), (0, 0)]
    return jnp.pad(images, around, mode="edge")


def crop(
    images: Float[Array, "*rows hh ww c"], height: int, width: int, *, published: bool = False
) -> Float[Array, "*rows h w c"]:
    """The inverse of `pad` for images that were `height` x `width`."""
    top, left = (border(size, published=published).before for size in (height, width))
    return images[..., top : top + height, left : left + width, :]


def padded(network: Network) -> Network:
    """A network that sees padded states, and whose prediction is cropped."""

    def cropping(state: Array, time: Array) -> Array:
        return crop(network(pad(state), time), *state.shape[-3:-1])

    return cropping
