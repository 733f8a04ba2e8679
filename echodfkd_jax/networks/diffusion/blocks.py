"""Residual, attention and resampling blocks of image networks, and the levels made of them."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from echodfkd_jax.networks.diffusion.layers import (
    Conv1x1,
    Norm,
    attend,
    conv3x3,
    dense,
    for_each,
    group_norm,
)
from echodfkd_jax.networks.layers import average_pool, torch_uniform, upsample_nearest_2x

# How a level halves its images: a strided convolution of images that have a zero pixel on all
# sides, or two of them right and below in place of that; or a residual block on means.
Halving = Literal["padded", "padded_after", "residual"]
# How a level doubles them: nearest pixels, then a convolution; or a residual block.
Doubling = Literal["conv", "residual"]


class ResnetBlock(nn.Module):
    """Two convolutions and a shortcut, conditioned on an embedding of time where there is one.

    Attributes:
        features: output channels.
        norm: its normalisations.
        resample: halves or doubles the images between the first normalisation and convolution.
    """

    features: int
    norm: Norm
    resample: Literal["halve", "double"] | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "n _ _ _"], embedding: Float[Array, "b d"] | None = None
    ) -> Float[Array, "n _ _ _"]:
        """Features to features; n is a multiple of b, images of a clip lie together."""
        y = nn.silu(group_norm(x, self.norm, "norm1"))
        if self.resample == "halve":
            x, y = average_pool(x, 2), average_pool(y, 2)
        elif self.resample == "double":
            x, y = upsample_nearest_2x(x), upsample_nearest_2x(y)
        y = conv3x3(y, self.features, "conv1")
        if embedding is not None:
            condition = dense(nn.silu(embedding), self.features, "time_emb_proj")
            y += for_each(condition.astype(y.dtype), y)
        y = conv3x3(nn.silu(group_norm(y, self.norm, "norm2")), self.features, "conv2")
        if x.shape[-1] != self.features:
            x = Conv1x1(self.features, name="conv_shortcut")(x)
        return x + y


class ImageAttention(nn.Module):
    """Every pixel looks at all pixels of its image; the result is added.

    Attributes:
        norm: before it.
        head_width: channels of a head; None: a single head of all.
    """

    norm: Norm
    head_width: int | None

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        """Features to features."""
        n, height, width, channels = x.shape
        y = group_norm(x, self.norm, "group_norm").reshape(n, height * width, channels)
        query, key, value = (dense(y, channels, f"to_{name}") for name in "qkv")
        y = attend(query, key, value, channels // (self.head_width or channels))
        return x + dense(y, channels, "to_out_0").reshape(x.shape)


class Downsample(nn.Module):
    """A 3x3 convolution with stride 2 that keeps the channels.

    Attributes:
        padding: zero pixels before and after, along both sides.
    """

    padding: tuple[int, int]

    @nn.compact
    def __call__(self, x: Float[Array, "n _ _ c"]) -> Float[Array, "n _ _ c"]:
        """Images to images of half the size."""
        channels = x.shape[-1]
        init = torch_uniform(9 * channels)
        layer = nn.Conv(
            channels,
            (3, 3),
            strides=2,
            padding=(self.padding, self.padding),
            dtype=x.dtype,
            kernel_init=init,
            bias_init=init,
            name="conv",
        )
        return layer(x)


class Upsample(nn.Module):
    """Nearest pixels, then a 3x3 convolution that keeps the channels."""

    @nn.compact
    def __call__(self, x: Float[Array, "n _ _ c"]) -> Float[Array, "n _ _ c"]:
        """Images to images of twice the size."""
        return conv3x3(upsample_nearest_2x(x), x.shape[-1], "conv")


class DownBlock(nn.Module):
    """A level on the way down.

    Attributes:
        features: output channels.
        layers: residual blocks.
        norm: of all of them.
        attention: whether an attention follows every residual block.
        head_width: of the attentions.
        halving: at the end of the level; None: the size stays.
    """

    features: int
    layers: int
    norm: Norm
    attention: bool = False
    head_width: int | None = None
    halving: Halving | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "n _ _ _"], embedding: Float[Array, "b d"] | None = None
    ) -> tuple[Float[Array, "n _ _ _"], list[Array]]:
        """Features to features, and what the way up is to be shown, in order."""
        skips = []
        for index in range(self.layers):
            x = ResnetBlock(self.features, self.norm, name=f"resnets_{index}")(x, embedding)
            if self.attention:
                x = ImageAttention(self.norm, self.head_width, name=f"attentions_{index}")(x)
            skips.append(x)
        if self.halving is None:
            return x, skips
        if self.halving == "residual":
            block = ResnetBlock(self.features, self.norm, "halve", name="downsamplers_0")
            x = block(x, embedding)
        else:
            padding = (1, 1) if self.halving == "padded" else (0, 1)
            x = Downsample(padding, name="downsamplers_0")(x)
        return x, [*skips, x]


class MidBlock(nn.Module):
    """The lowest level: an attention between two residual blocks.

    Attributes:
        norm: of all of them.
        head_width: of the attention.
    """

    norm: Norm
    head_width: int | None

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], embedding: Float[Array, "b d"] | None = None
    ) -> Float[Array, "n h w c"]:
        """Features to features."""
        x = ResnetBlock(x.shape[-1], self.norm, name="resnets_0")(x, embedding)
        x = ImageAttention(self.norm, self.head_width, name="attentions_0")(x)
        return ResnetBlock(x.shape[-1], self.norm, name="resnets_1")(x, embedding)


class UpBlock(nn.Module):
    """A level on the way up; its fields are those of `DownBlock`.

    Attributes:
        doubling: at the end of the level; None: the size stays.
    """

    features: int
    layers: int
    norm: Norm
    attention: bool = False
    head_width: int | None = None
    doubling: Doubling | None = None

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "n _ _ _"],
        embedding: Float[Array, "b d"] | None = None,
        skips: list[Array] | None = None,
    ) -> Float[Array, "n _ _ _"]:
        """Features, and what the way down has shown in that order, one per layer, to features."""
        for index in range(self.layers):
            if skips is not None:
                x = jnp.concatenate([x, skips[-1 - index]], -1)
            x = ResnetBlock(self.features, self.norm, name=f"resnets_{index}")(x, embedding)
            if self.attention:
                x = ImageAttention(self.norm, self.head_width, name=f"attentions_{index}")(x)
        if self.doubling == "residual":
            block = ResnetBlock(self.features, self.norm, "double", name="upsamplers_0")
            return block(x, embedding)
        return Upsample(name="upsamplers_0")(x) if self.doubling else x
