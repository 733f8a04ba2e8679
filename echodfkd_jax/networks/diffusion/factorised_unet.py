"""The U-Net of video diffusion whose layers work over space or over time, never over both.

Ho et al., "Video Diffusion Models" (arXiv:2204.03458), at the sizes of Free-Echo's unconditional
pixel model: `FactorisedUNet()` on clips with three image channels and five of one-hot labels.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from echodfkd_jax.networks.diffusion.image_unet import check_sides
from echodfkd_jax.networks.diffusion.layers import (
    LONGEST_PERIOD,
    Conv1x1,
    Norm,
    attend,
    conv3x3,
    dense,
    for_each,
    group_norm,
)
from echodfkd_jax.networks.layers import torch_uniform

_NORM_EPSILON = 1e-5
_INPUT_KERNEL_PX = 7
_HEAD_WIDTH = 32


class ChannelNorm(nn.Module):
    """Every place's channels to zero mean and unit deviation, times a gain; no bias."""

    @nn.compact
    def __call__(self, x: Float[Array, "*n c"]) -> Float[Array, "*n c"]:
        """Normalises."""
        norm = nn.LayerNorm(
            _NORM_EPSILON, dtype=x.dtype, use_bias=False, use_fast_variance=False, name="norm"
        )
        return norm(x)


class ConvBlock(nn.Module):
    """A 3x3 convolution over every frame, a norm over all frames together, and SiLU.

    Attributes:
        features: output channels.
        norm: its normalisation.
    """

    features: int
    norm: Norm

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b t h w _"],
        scale_shift: tuple[Array, Array] | None = None,
    ) -> Float[Array, "b t h w _"]:
        """Features to features; scale and shift are (b, features)."""
        y = conv3x3(x.reshape(-1, *x.shape[2:]), self.features, "proj")
        y = group_norm(y.reshape(*x.shape[:-1], self.features), self.norm, "norm")
        if scale_shift is not None:
            scale, shift = (for_each(condition.astype(y.dtype), y) for condition in scale_shift)
            y = y * (1 + scale) + shift
        return nn.silu(y)


class FactorisedResnetBlock(nn.Module):
    """Two convolution blocks and a shortcut; time scales and shifts the first one's features.

    Attributes:
        features: output channels.
        norm: of both.
    """

    features: int
    norm: Norm

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t h w _"], embedding: Float[Array, "b d"] | None = None
    ) -> Float[Array, "b t h w _"]:
        """Features to features."""
        scale_shift = None
        if embedding is not None:
            scale, shift = jnp.split(dense(nn.silu(embedding), 2 * self.features, "mlp"), 2, -1)
            scale_shift = (scale, shift)
        y = ConvBlock(self.features, self.norm, name="block1")(x, scale_shift)
        y = ConvBlock(self.features, self.norm, name="block2")(y)
        if x.shape[-1] != self.features:
            images = x.reshape(-1, *x.shape[2:])
            x = Conv1x1(self.features, name="res_conv")(images).reshape(y.shape)
        return x + y


class LinearAttention(nn.Module):
    """Attention over a frame's pixels whose cost grows with their number, not its square.

    Queries are normalised over a head's channels, keys over pixels; their product with the values
    needs no matrix of pixels by pixels. Added to what comes in.

    Attributes:
        heads: of width 32.
    """

    heads: int

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b t h w c"]:
        """Features to features."""
        pixels = x.shape[2] * x.shape[3]
        hidden = self.heads * _HEAD_WIDTH
        y = ChannelNorm(name="norm")(x).reshape(-1, pixels, x.shape[-1])
        y = dense(y, 3 * hidden, "to_qkv", use_bias=False)
        query, key, value = jnp.split(y.reshape(-1, pixels, 3 * self.heads, _HEAD_WIDTH), 3, 2)
        query = jax.nn.softmax(query.astype(jnp.float32), -1) * _HEAD_WIDTH**-0.5
        key = jax.nn.softmax(key.astype(jnp.float32), 1)
        context = jnp.einsum("nphd,nphe->nhde", key, value.astype(jnp.float32))
        mixed = jnp.einsum("nphd,nhde->nphe", query, context).astype(x.dtype)
        y = dense(mixed.reshape(-1, pixels, hidden), x.shape[-1], "to_out")
        return x + y.reshape(x.shape)


class FrameAttention(nn.Module):
    """Every pixel looks at all pixels of its frame; no bias in any layer. Added to what comes in.

    Attributes:
        heads: of width 32.
    """

    heads: int

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b t h w c"]:
        """Features to features."""
        hidden = self.heads * _HEAD_WIDTH
        y = ChannelNorm(name="norm")(x).reshape(-1, x.shape[2] * x.shape[3], x.shape[-1])
        query, key, value = jnp.split(dense(y, 3 * hidden, "to_qkv", use_bias=False), 3, -1)
        mixed = attend(query, key, value, self.heads)
        y = dense(mixed, x.shape[-1], "to_out", use_bias=False)
        return x + y.reshape(x.shape)


class TimeAttention(nn.Module):
    """Every place looks at itself in all frames. Added to what comes in.

    Queries and keys are rotated by their frame's number; how much one frame heeds another depends
    on their distance, too.

    Attributes:
        heads: of width 32.
    """

    heads: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t h w c"], bias: Float[Array, "heads t t"]
    ) -> Float[Array, "b t h w c"]:
        """Features to features; `bias` is added before the softmax, [head, looking, looked at]."""
        frames, channels = x.shape[1], x.shape[-1]
        hidden = self.heads * _HEAD_WIDTH
        y = jnp.moveaxis(ChannelNorm(name="norm")(x), 1, 3)
        leading = y.shape[:3]
        y = dense(y.reshape(-1, frames, channels), 3 * hidden, "to_qkv", use_bias=False)
        query, key, value = jnp.split(y.reshape(-1, frames, 3 * self.heads, _HEAD_WIDTH), 3, 2)
        y = jax.nn.dot_product_attention(
            rotate(query), rotate(key), value, bias=bias[None].astype(x.dtype)
        )
        y = dense(y.reshape(-1, frames, hidden), channels, "to_out", use_bias=False)
        return x + jnp.moveaxis(y.reshape(*leading, frames, channels), 3, 1)


class RelativeBias(nn.Module):
    """How much a frame heeds another by their distance, in buckets; of T5 (arXiv:1910.10683).

    Attributes:
        heads: each with its own numbers.
        buckets: half of them for earlier, half for later frames.
        farthest: distance from which all are the same.
    """

    heads: int
    buckets: int = 32
    farthest: int = 32

    @nn.compact
    def __call__(self, frames: int) -> Float[Array, "heads t t"]:
        """[head, looking frame, looked-at frame]."""
        normal = nn.initializers.normal(1.0)
        table = self.param("embedding", normal, (self.buckets, self.heads))
        return jnp.moveaxis(table[bucket_of_pairs(frames, self.buckets, self.farthest)], -1, 0)


class FactorisedUNet(nn.Module):
    """Noisy clips and their times to what the schedule asks for.

    Attributes:
        channels: of the output.
        widths: channels of every level, the finest first; each level but the last halves the
            frames, none their number.
        heads: of all attentions, each of width 32.
        norm: of the convolution blocks.
    """

    channels: int = 3
    widths: tuple[int, ...] = (32, 64, 128)
    heads: int = 8
    norm: Norm = Norm(groups=8)

    @nn.compact
    def __call__(
        self, video: Float[Array, "b t h w _"], times: Shaped[Array, " b"]
    ) -> Float[Array, "b t h w _"]:
        """Denoises.

        Args:
            video: noisy frames, then channels of conditions; the sides must be multiples of
                2^(levels - 1).
            times: ln(sigma) / 4 as published.

        Raises:
            UserError: the sides cannot be halved often enough.
        """
        check_sides(video.shape[2:4], len(self.widths))
        bias = RelativeBias(self.heads, name="time_rel_pos_bias")(video.shape[1])
        embedding = self._embed(times)
        x = first = _convolve_frames(video, self.widths[0], _INPUT_KERNEL_PX, 1, "init_conv")
        x = TimeAttention(self.heads, name="init_temporal_attn")(x, bias)
        skips, last = [], len(self.widths) - 1
        for level, width in enumerate(self.widths):
            x = self._level(x, width, embedding, bias, f"downs_{level}")
            skips.append(x)
            if level < last:
                x = _convolve_frames(x, width, 4, 2, f"downs_{level}_down")
        x = self._resnet(self.widths[-1], "mid_block1")(x, embedding)
        x = FrameAttention(self.heads, name="mid_spatial_attn")(x)
        x = TimeAttention(self.heads, name="mid_temporal_attn")(x, bias)
        x = self._resnet(self.widths[-1], "mid_block2")(x, embedding)
        for index, level in enumerate(reversed(range(len(self.widths)))):
            # A level ends with the next finer one's channels.
            width = self.widths[max(level - 1, 0)]
            x = jnp.concatenate([x, skips.pop()], -1)
            x = self._level(x, width, embedding, bias, f"ups_{index}")
            if level > 0:
                x = _double_frames(x, f"ups_{index}_up")
        x = self._resnet(self.widths[0], "final_block")(jnp.concatenate([x, first], -1))
        images = Conv1x1(self.channels, name="final_conv")(x.reshape(-1, *x.shape[2:]))
        return images.reshape(*x.shape[:-1], self.channels)

    def _embed(self, times: Array) -> Array:
        width = self.widths[0]
        y = dense(sines_first(times, width), 4 * width, "time_mlp_1")
        return dense(nn.gelu(y, approximate=False), 4 * width, "time_mlp_2")

    def _resnet(self, features: int, name: str) -> FactorisedResnetBlock:
        return FactorisedResnetBlock(features, self.norm, name=name)

    def _level(self, x: Array, width: int, embedding: Array, bias: Array, name: str) -> Array:
        x = self._resnet(width, f"{name}_block1")(x, embedding)
        x = self._resnet(width, f"{name}_block2")(x, embedding)
        x = LinearAttention(self.heads, name=f"{name}_spatial_attn")(x)
        return TimeAttention(self.heads, name=f"{name}_temporal_attn")(x, bias)


def sines_first(numbers: Shaped[Array, " b"], width: int) -> Float[Array, "b {width}"]:
    """Sines, then cosines, of numbers at geometric frequencies from 1 to exactly 1/10000."""
    half = width // 2
    steps = jnp.arange(half) / max(half - 1, 1)
    angles = numbers.astype(jnp.float32)[:, None] * jnp.exp(-math.log(LONGEST_PERIOD) * steps)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)


def rotate(x: Float[Array, "n t heads d"]) -> Float[Array, "n t heads d"]:
    """Rotary embedding (arXiv:2104.09864): pairs of channels turned by their frame's number."""
    width = x.shape[-1]
    frequencies = LONGEST_PERIOD ** -(jnp.arange(0, width, 2) / width)
    angles = jnp.arange(x.shape[1])[:, None] * frequencies
    cosines, sines = (f(angles)[:, None].astype(x.dtype) for f in (jnp.cos, jnp.sin))
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = jnp.stack([even * cosines - odd * sines, odd * cosines + even * sines], -1)
    return turned.reshape(x.shape)


def bucket_of_pairs(frames: int, buckets: int, farthest: int) -> Int[np.ndarray, "t t"]:
    """[looking frame, looked-at frame]: exact near by, then wider and wider; later ones apart."""
    distance = np.arange(frames)[None] - np.arange(frames)[:, None]
    half = buckets // 2
    exact = half // 2
    far = np.log(np.maximum(np.abs(distance), 1) / exact) / math.log(farthest / exact)
    wide = np.minimum(exact + (far * (half - exact)).astype(int), half - 1)
    within = np.where(np.abs(distance) < exact, np.abs(distance), wide)
    return within + half * (distance > 0)


def _convolve_frames(video: Array, features: int, kernel: int, stride: int, name: str) -> Array:
    pad = (kernel - stride + 1) // 2
    init = torch_uniform(kernel * kernel * video.shape[-1])
    layer = nn.Conv(
        features,
        (kernel, kernel),
        strides=stride,
        padding=((pad, pad), (pad, pad)),
        dtype=video.dtype,
        kernel_init=init,
        bias_init=init,
        name=name,
    )
    images = layer(video.reshape(-1, *video.shape[2:]))
    return images.reshape(*video.shape[:2], *images.shape[1:])


def _double_frames(video: Array, name: str) -> Array:
    """Frames of twice the size by a transposed 4x4 convolution, one pixel cut off on all sides."""
    channels = video.shape[-1]
    init = torch_uniform(16 * channels)
    layer = nn.ConvTranspose(
        channels,
        (4, 4),
        strides=(2, 2),
        # Zeros around the pulled-apart image; PyTorch's padding 1 takes one of three away.
        padding=((2, 2), (2, 2)),
        dtype=video.dtype,
        kernel_init=init,
        bias_init=init,
        name=name,
    )
    images = layer(video.reshape(-1, *video.shape[2:]))
    return images.reshape(*video.shape[:2], *images.shape[1:])
