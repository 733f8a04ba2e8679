"""Images whose channels hold blocks of pixels, and the form that suits each kind of device.

A TPU works on 128 channels at once and stores them so, whether they are there or not: twelve
channels take ten times their memory. Moved into the channels, a block of 2 x 4 pixels makes 96 of
twelve; a 3x3 convolution becomes one over blocks, with the same weights and zeros between them.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class Block(NamedTuple):
    """So many pixels stand in one place, row by row, each with its channels one after another."""

    rows: int
    columns: int

    @property
    def pixels(self) -> int:
        """Pixels of a block."""
        return self.rows * self.columns

    @property
    def twice(self) -> "Block":
        """The block of the same pixels in an image of twice the size."""
        return Block(2 * self.rows, 2 * self.columns)


PIXEL = Block(1, 1)


class Form(NamedTuple):
    """How the student computes; its weights and, but for rounding, its numbers are the same in all.

    Attributes:
        lanes: channels that a block of pixels may have at most; 1: every pixel by itself.
        keep_gates: whether the backward pass finds the gates in memory or computes them again.
        dtype: of the products' factors where a configuration leaves the choice.
    """

    lanes: int
    keep_gates: bool
    dtype: str = "float32"

    def block(self, channels: int, height: int, width: int) -> Block:
        """The largest block that divides images of so many channels and pixels."""
        pixels = 1 << max(0, (self.lanes // channels).bit_length() - 1)
        rows = 1 << (pixels.bit_length() - 1) // 2
        return Block(math.gcd(rows, height), math.gcd(pixels // rows, width))


# Chosen by what their compilers say of a training step, and on CPUs by its time; the figures are in
# `benchmarks/RESULTS.md`.
FORMS = {
    "cpu": Form(1, True),
    "gpu": Form(1, True, "bfloat16"),
    "tpu": Form(96, False, "bfloat16"),
}


def form_of_backend() -> Form:
    """The form for the devices of this process."""
    return FORMS.get(jax.default_backend(), FORMS["gpu"])


def regroup(images: Float[Array, "n _ _ _"], old: Block, new: Block) -> Float[Array, "n _ _ _"]:
    """The same pixels in other blocks; the images' sides must be multiples of both."""
    if old == new:
        return images
    n, height, width, channels = images.shape
    channels //= old.pixels
    # Through blocks that both divide: what is the same in both stays together.
    rows, columns = math.lcm(old.rows, new.rows), math.lcm(old.columns, new.columns)
    down, right = height * old.rows // rows, width * old.columns // columns
    images = images.reshape(
        n, down, rows // old.rows, right, columns // old.columns, old.rows, old.columns, channels
    )
    images = images.transpose(0, 1, 3, 2, 5, 4, 6, 7).reshape(
        n, down, right, rows // new.rows, new.rows, columns // new.columns, new.columns, channels
    )
    return images.transpose(0, 1, 3, 2, 5, 4, 6, 7).reshape(
        n, down * rows // new.rows, right * columns // new.columns, new.pixels * channels
    )


def over_blocks(
    kernel: Float[Array, "3 3 x y"], block: Block
) -> Float[Array, "3 3 {block.rows} {block.columns} x {block.rows} {block.columns} y"]:
    """A 3x3 kernel over pixels as one over blocks: from each pixel of one to each of another."""
    if block == PIXEL:
        return kernel[:, :, None, None, :, None, None, :]
    rows, columns = (_taps(size) for size in block)
    wide = jnp.einsum("xcdu,tuio->txcido", columns, kernel, precision="highest")
    return jnp.einsum("yabt,txcido->yxacibdo", rows, wide, precision="highest")


def _taps(size: int) -> np.ndarray:
    """[block - 1, pixel in, pixel out, tap] of one axis: 1 where that tap joins the two."""
    taps = np.zeros((3, size, size, 3), np.float32)
    for out in range(size):
        for tap in range(3):
            at = out + tap - 1
            taps[at // size + 1, at % size, out, tap] = 1
    return taps
