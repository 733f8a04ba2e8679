"""ConvNeXt (Liu et al., CVPR 2022) as open_clip builds it with timm, projected to an embedding.

Submodules carry timm's names, so that `echoclip/open_clip_weights.py` finds every entry's place.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from echodfkd_jax.echoclip.architecture import Architecture

# timm's ConvNeXt; flax's and open_clip's text tower's differ.
_NORM_EPSILON = 1e-6
_KERNEL_PX = 7


class ImageTower(nn.Module):
    """Images to embeddings that are not yet normalised.

    Attributes:
        architecture: sizes.
        dtype: type of the computation (float32 or bfloat16); weights keep theirs.
        precision: of the products.
    """

    architecture: Architecture
    dtype: Any = jnp.float32
    precision: jax.lax.Precision | None = None

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"]) -> Float[Array, "b d"]:
        """Preprocessed images, whose sides are multiples of 32, to embeddings."""
        settings = {"dtype": self.dtype, "precision": self.precision}
        widths = self.architecture.widths
        x = nn.Conv(widths[0], (4, 4), (4, 4), "VALID", name="stem_0", **settings)(images)
        x = _norm(self.dtype, "stem_1")(x)
        for index, (depth, width) in enumerate(zip(self.architecture.depths, widths)):
            x = Stage(depth, width, downsample=index > 0, name=f"stages_{index}", **settings)(x)
        x = _norm(self.dtype, "head_norm")(x.mean(axis=(1, 2)))
        return nn.Dense(self.architecture.embedding, use_bias=False, name="head_proj", **settings)(
            x
        )


class Stage(nn.Module):
    """Blocks of one width, after halving the resolution where `downsample`."""

    depth: int
    width: int
    downsample: bool
    dtype: Any = jnp.float32
    precision: jax.lax.Precision | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        """The stage before's features to this one's."""
        settings = {"dtype": self.dtype, "precision": self.precision}
        if self.downsample:
            x = _norm(self.dtype, "downsample_0")(x)
            x = nn.Conv(self.width, (2, 2), (2, 2), "VALID", name="downsample_1", **settings)(x)
        for index in range(self.depth):
            x = Block(self.width, name=f"blocks_{index}", **settings)(x)
        return x


class Block(nn.Module):
    """Depthwise 7x7 convolution, then a two-layer perceptron per pixel, scaled and added."""

    width: int
    dtype: Any = jnp.float32
    precision: jax.lax.Precision | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Features to features."""
        settings = {"dtype": self.dtype, "precision": self.precision}
        y = DepthwiseConv(name="conv_dw", **settings)(x)
        y = _norm(self.dtype, "norm")(y)
        y = nn.Dense(4 * self.width, name="mlp_fc1", **settings)(y)
        y = nn.gelu(y, approximate=False)
        y = nn.Dense(self.width, name="mlp_fc2", **settings)(y)
        gamma = self.param("gamma", nn.initializers.constant(1e-6), (self.width,))
        return x + y * gamma.astype(self.dtype)


class DepthwiseConv(nn.Module):
    """One 7x7 kernel per channel, zero padding, same size."""

    dtype: Any = jnp.float32
    precision: jax.lax.Precision | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Features to features, each channel by itself."""
        channels = x.shape[-1]
        kernel = self.param(
            "kernel", nn.initializers.lecun_normal(), (_KERNEL_PX, _KERNEL_PX, 1, channels)
        ).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (channels,)).astype(self.dtype)
        convolve = functools.partial(grouped_convolution, precision=self.precision)
        # XLA's grouped convolution is about twenty times slower than shifted sums on a CPU.
        return jax.lax.platform_dependent(x, kernel, cpu=shifted_sums, default=convolve) + bias


def grouped_convolution(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "7 7 1 c"],
    precision: jax.lax.Precision | None,
) -> Float[Array, "b h w c"]:
    """Each channel with its own kernel, zeros outside, as one convolution."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
        precision=precision,
    )


def shifted_sums(
    x: Float[Array, "b h w c"], kernel: Float[Array, "7 7 1 c"]
) -> Float[Array, "b h w c"]:
    """The same as a sum over the kernel's places."""
    height, width = x.shape[1:3]
    margin = _KERNEL_PX // 2
    padded = jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    total = jnp.zeros_like(x)
    for row in range(_KERNEL_PX):
        for column in range(_KERNEL_PX):
            shifted = padded[:, row : row + height, column : column + width]
            total += shifted * kernel[row, column, 0]
    return total


def _norm(dtype: Any, name: str) -> nn.LayerNorm:
    # The variance is taken in two passes: E[x^2] - E[x]^2 loses digits that the reference keeps.
    return nn.LayerNorm(_NORM_EPSILON, dtype=dtype, use_fast_variance=False, name=name)
