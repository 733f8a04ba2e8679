"""Layers of which all learned generators are made; PyTorch's conventions, channels last.

Functions that take a `name` make a layer of that name in the module that calls them.
"""

import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from echodfkd_jax.networks.layers import Conv3x3, torch_uniform

# Of the slowest of a sinusoidal embedding's frequencies, over two pi.
LONGEST_PERIOD = 10_000.0
LAYER_NORM_EPSILON = 1e-5  # PyTorch's default


class Norm(NamedTuple):
    """Group normalisations of a network.

    Attributes:
        groups: of channels that share their statistics; must divide the channels.
        epsilon: added to the variance.
    """

    groups: int = 32
    epsilon: float = 1e-5


class Conv1x1(nn.Module):
    """A linear function of every pixel's channels, with bias; its kernel is a 1x1 convolution's."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "n h w _"]) -> Float[Array, "n h w _"]:
        """Images to images of `features` channels."""
        channels = x.shape[-1]
        init = torch_uniform(channels)
        kernel = self.param("kernel", init, (1, 1, channels, self.features))
        bias = self.param("bias", init, (self.features,))
        return x @ kernel[0, 0].astype(x.dtype) + bias.astype(x.dtype)


class TimeConv3(nn.Module):
    """A convolution over three frames, pixel by pixel, with bias and zero frames outside.

    One product over each frame with its neighbours: as a convolution its gradient would be slow on
    CPUs.
    """

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w _"]) -> Float[Array, "b t h w _"]:
        """Clips to clips of `features` channels."""
        frames, channels = x.shape[1], x.shape[-1]
        init = torch_uniform(3 * channels)
        kernel = self.param("kernel", init, (3, 1, 1, channels, self.features))
        bias = self.param("bias", init, (self.features,))
        padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0), (0, 0)))
        three = jnp.concatenate([padded[:, start : start + frames] for start in range(3)], -1)
        return three @ kernel.reshape(-1, self.features).astype(x.dtype) + bias.astype(x.dtype)


class Embedding(nn.Module):
    """A perceptron of two layers that makes a condition of a number's sinusoids.

    Attributes:
        hidden: width of the first layer.
        features: width of the second; None: the same.
    """

    hidden: int
    features: int | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "*n _"]) -> Float[Array, "*n _"]:
        """Sinusoids, or another vector, to an embedding."""
        y = nn.silu(dense(x, self.hidden, "linear_1"))
        return dense(y, self.features or self.hidden, "linear_2")


def sinusoids(numbers: Shaped[Array, "*n"], width: int) -> Float[Array, "*n {width}"]:
    """Cosines, then sines, of numbers at geometric frequencies from 1 down to 1/10000.

    Args:
        numbers: time steps or frame numbers, integers or not.
        width: of the embedding; where it is odd, a zero is appended.
    """
    half = width // 2
    frequencies = jnp.exp(-math.log(LONGEST_PERIOD) / max(half, 1) * jnp.arange(half))
    angles = numbers.astype(jnp.float32)[..., None] * frequencies
    rest = jnp.zeros((*angles.shape[:-1], width % 2))
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles), rest], -1)


def conv3x3(x: Float[Array, "n h w _"], features: int, name: str) -> Float[Array, "n h w _"]:
    """A 3x3 convolution with bias, stride 1 and zero padding 1."""
    return Conv3x3(features, x.dtype, name=name)(x)


def dense(
    x: Float[Array, "*n _"], features: int, name: str, *, use_bias: bool = True
) -> Float[Array, "*n _"]:
    """A linear layer."""
    init = torch_uniform(x.shape[-1])
    layer = nn.Dense(
        features,
        use_bias=use_bias,
        dtype=x.dtype,
        kernel_init=init,
        bias_init=init,
        name=name,
    )
    return layer(x)


def group_norm(x: Float[Array, "n *s c"], norm: Norm, name: str) -> Float[Array, "n *s c"]:
    """Normalises the groups of every image, or of all frames of a clip together."""
    # The variance is taken in two passes: E[x^2] - E[x]^2 loses digits that the reference keeps.
    layer = nn.GroupNorm(
        norm.groups,
        epsilon=norm.epsilon,
        dtype=x.dtype,
        use_fast_variance=False,
        name=name,
    )
    return layer(x)


def layer_norm(x: Float[Array, "*n c"], name: str) -> Float[Array, "*n c"]:
    """Normalises the channels of every place by itself."""
    layer = nn.LayerNorm(LAYER_NORM_EPSILON, dtype=x.dtype, use_fast_variance=False, name=name)
    return layer(x)


def for_each(condition: Float[Array, "b d"], x: Float[Array, "n *s c"]) -> Float[Array, "n *_ d"]:
    """A condition of every clip, repeated for its images and shaped to be added to their pixels."""
    repeated = jnp.repeat(condition, x.shape[0] // condition.shape[0], axis=0)
    return jnp.expand_dims(repeated, tuple(range(1, x.ndim - 1)))


def attend(
    query: Float[Array, "n q c"],
    key: Float[Array, "n k c"],
    value: Float[Array, "n k c"],
    heads: int,
) -> Float[Array, "n q c"]:
    """Attention in heads of c / heads channels; the softmax is float32."""
    split = (x.reshape(*x.shape[:2], heads, -1) for x in (query, key, value))
    return jax.nn.dot_product_attention(*split).reshape(query.shape)
