"""Layers that the recurrent student and the per-frame U-Net share; PyTorch's conventions.

All of them work on images (n, h, w, c); a clip's time axis is merged into n by the caller.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from echodfkd_jax.networks.blocks import PIXEL, Block, over_blocks, regroup
from echodfkd_jax.networks.convolution import convolve_3x3

# torch.nn.BatchNorm2d's defaults, with which the published weights were trained.
BATCH_NORM_MOMENTUM = 0.1
BATCH_NORM_EPSILON = 1e-5
# Below this standard deviation (of 0..1) a frame is treated as blank, not as noise to be blown up.
MIN_CONTRAST = 0.02


def torch_uniform(fan_in: int) -> nn.initializers.Initializer:
    """PyTorch's default initialisation of a convolution, uniform in +-1/sqrt(fan_in)."""
    bound = fan_in**-0.5

    def init(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


class Conv3x3(nn.Module):
    """A 3x3 convolution with bias, stride 1 and zero padding 1.

    Attributes:
        features: output channels.
        dtype: type of the product's factors; parameters stay float32.
    """

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, inputs: Float[Array, "n h w x"]) -> Float[Array, "n h w y"]:
        """Convolves images."""
        channels = inputs.shape[-1]
        init = torch_uniform(9 * channels)
        kernel = self.param("kernel", init, (3, 3, channels, self.features))
        bias = self.param("bias", init, (self.features,))
        outputs = convolve_3x3(inputs.astype(self.dtype), jnp.asarray(kernel, self.dtype))
        return outputs + bias.astype(self.dtype)


class UpConv3x3(nn.Module):
    """Nearest upsampling to twice the size, then a 3x3 convolution with bias and zero padding 1.

    Computed at the low resolution: among the enlarged image's pixels under the kernel only 2x2
    differ, so each of the four pixels that a low-resolution pixel becomes is a convolution of the
    low-resolution image with sums of the kernel's rows and columns. The enlarged image, four times
    as large, is never made.

    Attributes:
        features: output channels.
        dtype: type of the product's factors; parameters stay float32.
    """

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, inputs: Float[Array, "n h w _"], block: Block = PIXEL
    ) -> Float[Array, "n h w _"]:
        """Enlarges and convolves images in blocks; gives them in blocks of `block.twice`."""
        channels = inputs.shape[-1] // block.pixels
        init = torch_uniform(9 * channels)
        kernel = self.param("kernel", init, (3, 3, channels, self.features))
        bias = self.param("bias", init, (self.features,))
        # [half, tap, row]: the kernel's rows that meet low-resolution row `tap` - 1 when centred
        # on the upper (half 0) or the lower (half 1) row of a square.
        rows = jnp.array([[[1, 0, 0], [0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 0], [0, 0, 1]]])
        rows = rows.astype(jnp.float32)
        four = jnp.einsum("aui,bvj,ijxy->uvxaby", rows, rows, kernel, precision="highest")
        wide = over_blocks(four.reshape(3, 3, channels, 4 * self.features), block)
        wide = wide.reshape(*wide.shape[:-1], 2, 2, self.features)
        # From (row, column, row of the square, column of the square) to the larger block's order.
        wide = wide.swapaxes(-4, -3).reshape(3, 3, inputs.shape[-1], -1)
        outputs = convolve_3x3(inputs.astype(self.dtype), wide.astype(self.dtype))
        return outputs + jnp.tile(bias, block.twice.pixels).astype(self.dtype)


class Head(nn.Module):
    """One logit per pixel and structure from the pixel's channels alone, in float32."""

    structures: int = 1

    @nn.compact
    def __call__(self, inputs: Float[Array, "n h w _"], block: Block) -> Float[Array, "n h w _"]:
        """Gives images of one channel per structure in the same blocks."""
        channels = inputs.shape[-1] // block.pixels
        init = torch_uniform(channels)
        kernel = self.param("kernel", init, (channels, self.structures))
        bias = self.param("bias", init, (self.structures,))
        wide = jnp.kron(jnp.eye(block.pixels, dtype=jnp.float32), kernel)
        logits = inputs.astype(jnp.float32) @ wide
        each = logits.reshape(*logits.shape[:-1], block.pixels, self.structures) + bias
        return each.reshape(logits.shape)


class BatchNorm(nn.Module):
    """Batch normalisation exactly as torch.nn.BatchNorm2d does it.

    flax's own layer keeps the biased variance; PyTorch normalises with the biased and stores the
    unbiased one. Statistics are float32 whatever the input is.

    Attributes:
        axis_name: mapped axis over which training statistics are shared; all devices must hold
            equally many images.
        dtype: type of the output.
    """

    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, inputs: Float[Array, "n h w c"], *, train: bool, block: Block = PIXEL
    ) -> Float[Array, "n h w c"]:
        """Normalises with the batch's statistics (and updates the running ones) or the running."""
        channels = inputs.shape[-1] // block.pixels
        scale = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (channels,))
        inputs = inputs.astype(jnp.float32)
        if train:
            mean = self._mean(inputs, block)
            var = self._mean(jnp.square(inputs - jnp.tile(mean, block.pixels)), block)
            if not self.is_initializing():
                devices = 1 if self.axis_name is None else jax.lax.axis_size(self.axis_name)
                count = inputs.size // channels * devices
                unbiased = var * (count / (count - 1))
                keep = 1 - BATCH_NORM_MOMENTUM
                running_mean.value = keep * running_mean.value + BATCH_NORM_MOMENTUM * mean
                running_var.value = keep * running_var.value + BATCH_NORM_MOMENTUM * unbiased
        else:
            mean, var = running_mean.value, running_var.value
        factor = scale * jax.lax.rsqrt(var + BATCH_NORM_EPSILON)
        factor, offset = (jnp.tile(x, block.pixels) for x in (factor, bias - mean * factor))
        return (inputs * factor + offset).astype(self.dtype)

    def _mean(self, inputs: Array, block: Block) -> Array:
        mean = jnp.mean(jnp.mean(inputs, (0, 1, 2)).reshape(block.pixels, -1), 0)
        if self.axis_name is None or self.is_initializing():
            return mean
        return jax.lax.pmean(mean, self.axis_name)


def convolve_twice(
    network: nn.Module,
    hidden: Float[Array, "n h w x"],
    features: int,
    name: str,
    *,
    train: bool,
    axis_name: str | None = None,
    dtype: Any = jnp.float32,
) -> Float[Array, "n h w y"]:
    """A level of a U-Net: twice a 3x3 convolution, batch normalisation and ReLU.

    Args:
        network: whose layers these become.
        hidden: images.
        features: of the result.
        name: of the layers: `<name>_0`, `<name>_0_norm`, `<name>_1`, `<name>_1_norm`.
        train: see `BatchNorm`.
        axis_name: see `BatchNorm`.
        dtype: of the products' factors.
    """
    for index in range(2):
        convolution = Conv3x3(features, dtype, parent=network, name=f"{name}_{index}")
        norm = BatchNorm(axis_name, dtype, parent=network, name=f"{name}_{index}_norm")
        hidden = nn.relu(norm(convolution(hidden), train=train))
    return hidden


def max_pool_2x2(inputs: Float[Array, "n h w c"]) -> Float[Array, "n h//2 w//2 c"]:
    """Maximum over 2x2 squares; among equal values the gradient goes to the first, as in PyTorch.

    Written with selections because the gradient of XLA's window reduction (select-and-scatter) is
    slow on a CPU. An odd last row or column is dropped.
    """
    height, width = inputs.shape[1] // 2 * 2, inputs.shape[2] // 2 * 2
    top = inputs[:, 0:height:2, :width]
    bottom = inputs[:, 1:height:2, :width]
    top = _first_maximum(top[:, :, 0::2], top[:, :, 1::2])
    bottom = _first_maximum(bottom[:, :, 0::2], bottom[:, :, 1::2])
    return _first_maximum(top, bottom)


def max_pool_blocks(images: Float[Array, "n _ _ _"], block: Block) -> tuple[Array, Block]:
    """`max_pool_2x2` of images in blocks: the smaller images, and the blocks that they are in."""
    if block == PIXEL:
        return max_pool_2x2(images), block
    even = Block(max(2, block.rows), max(2, block.columns))
    images = regroup(images, block, even)
    small = Block(even.rows // 2, even.columns // 2)
    split = images.reshape(*images.shape[:3], small.rows, 2, small.columns, 2, -1)
    top, bottom = (
        _first_maximum(split[..., row, :, 0, :], split[..., row, :, 1, :]) for row in (0, 1)
    )
    return _first_maximum(top, bottom).reshape(*images.shape[:3], -1), small


def _first_maximum(first: Array, second: Array) -> Array:
    return jnp.where(first >= second, first, second)


def upsample_nearest_2x(inputs: Float[Array, "n h w c"]) -> Float[Array, "n 2*h 2*w c"]:
    """Repeats every pixel in a 2x2 square."""
    n, height, width, channels = inputs.shape
    wide = jnp.broadcast_to(inputs[:, :, None, :, None, :], (n, height, 2, width, 2, channels))
    return wide.reshape(n, 2 * height, 2 * width, channels)


def average_pool(
    video: Float[Array, "n h w c"], factor: int
) -> Float[Array, "n h//{factor} w//{factor} c"]:
    """Means over factor x factor squares; the sides must be multiples of the factor."""
    if factor == 1:
        return video
    n, height, width, channels = video.shape
    squares = video.reshape(n, height // factor, factor, width // factor, factor, channels)
    return squares.mean((2, 4))


def resize_bilinear(
    images: Float[Array, "n h w c"], factor: int
) -> Float[Array, "n h*{factor} w*{factor} c"]:
    """Enlarges both sides `factor` times, bilinearly with half-pixel centres."""
    if factor == 1:
        return images
    n, height, width, channels = images.shape
    shape = (n, height * factor, width * factor, channels)
    # Antialiasing does nothing when enlarging, but exporters do not know it.
    return jax.image.resize(images, shape, "bilinear", antialias=False)


def standardise(frames: Float[Array, "n h w 1"]) -> Float[Array, "n h w 1"]:
    """Scales frames 0..255 to zero mean and unit deviation, each by itself."""
    scaled = frames / 255
    centred = scaled - scaled.mean((1, 2, 3), keepdims=True)
    deviation = jnp.sqrt(jnp.mean(jnp.square(centred), (1, 2, 3), keepdims=True))
    return centred / jnp.maximum(deviation, MIN_CONTRAST)
