"""The spatio-temporal U-Net of denoising diffusion over clips of latent frames.

Its layout is that of Stable Video Diffusion (Blattmann et al., arXiv:2311.15127); `VideoUNet()` is
EchoNet-Synthetic's latent video model, whose context is the ejection fraction / 100 as a single
token of width 1, and whose input has the conditioning frame in its last channels (`with_frame`).
"""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from echodfkd_jax.networks.diffusion.blocks import Downsample, ResnetBlock, Upsample
from echodfkd_jax.networks.diffusion.image_unet import check_sides
from echodfkd_jax.networks.diffusion.layers import (
    Embedding,
    Norm,
    TimeConv3,
    conv3x3,
    dense,
    for_each,
    group_norm,
    sinusoids,
)
from echodfkd_jax.networks.diffusion.transformer import TimeMixer, VideoTransformer

# As published, the epsilon depends on the kind of block: that of levels with attentions and of the
# whole way up, and that of the rest.
_EPSILON, _PLAIN_EPSILON = 1e-6, 1e-5


class TemporalResnetBlock(nn.Module):
    """Two convolutions over frames and a shortcut; statistics are of all frames together.

    Attributes:
        norm: its normalisations.
    """

    norm: Norm

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t h w c"], embedding: Float[Array, "b d"]
    ) -> Float[Array, "b t h w c"]:
        """Features to features."""
        channels = x.shape[-1]
        y = nn.silu(group_norm(x, self.norm, "norm1"))
        y = TimeConv3(channels, name="conv1")(y)
        condition = dense(nn.silu(embedding), channels, "time_emb_proj")
        y += for_each(condition.astype(y.dtype), y)
        y = nn.silu(group_norm(y, self.norm, "norm2"))
        return x + TimeConv3(channels, name="conv2")(y)


class VideoResnetBlock(nn.Module):
    """A residual block over every frame, then one over frames, mixed.

    Attributes:
        features: output channels.
        norm: of both.
    """

    features: int
    norm: Norm

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t h w _"], embedding: Float[Array, "b d"]
    ) -> Float[Array, "b t h w _"]:
        """Features to features."""
        block = ResnetBlock(self.features, self.norm, name="spatial_res_block")
        spatial = block(_images(x), embedding).reshape(*x.shape[:-1], self.features)
        temporal = TemporalResnetBlock(self.norm, name="temporal_res_block")(spatial, embedding)
        return TimeMixer(name="time_mixer")(spatial, temporal)


class VideoLevel(nn.Module):
    """A level on either way: residual blocks, each followed by a transformer where there are heads.

    Attributes:
        features: output channels.
        layers: residual blocks.
        groups: of the normalisations.
        epsilon: of the residual blocks' normalisations.
        heads: of the transformers; None: there is none.
        resampling: at the end of the level.
        pixel_major_context: see `VideoTransformer`.
    """

    features: int
    layers: int
    groups: int
    epsilon: float
    heads: int | None
    resampling: Literal["halve", "double"] | None
    pixel_major_context: bool

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b t _ _ _"],
        embedding: Float[Array, "b d"],
        context: Float[Array, "b k _"],
        skips: list[Array] | None = None,
    ) -> tuple[Float[Array, "b t _ _ _"], list[Array]]:
        """Features, and on the way up what the way down has shown, to features and what to show."""
        shown = []
        for index in range(self.layers):
            if skips is not None:
                x = jnp.concatenate([x, skips[-1 - index]], -1)
            norm = Norm(self.groups, self.epsilon)
            x = VideoResnetBlock(self.features, norm, name=f"resnets_{index}")(x, embedding)
            if self.heads is not None:
                transformer = VideoTransformer(
                    self.heads,
                    Norm(self.groups, _EPSILON),
                    self.pixel_major_context,
                    name=f"attentions_{index}",
                )
                x = transformer(x, context)
            shown.append(x)
        if self.resampling == "halve":
            images = Downsample((1, 1), name="downsamplers_0")(_images(x))
        elif self.resampling == "double":
            images = Upsample(name="upsamplers_0")(_images(x))
        else:
            return x, shown
        x = images.reshape(*x.shape[:2], *images.shape[1:])
        return x, [*shown, x]


class VideoMidBlock(nn.Module):
    """The lowest level: a transformer between two residual blocks; fields as in `VideoLevel`."""

    groups: int
    heads: int
    pixel_major_context: bool

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b t h w c"],
        embedding: Float[Array, "b d"],
        context: Float[Array, "b k _"],
    ) -> Float[Array, "b t h w c"]:
        """Features to features."""
        channels, norm = x.shape[-1], Norm(self.groups, _PLAIN_EPSILON)
        x = VideoResnetBlock(channels, norm, name="resnets_0")(x, embedding)
        x = VideoTransformer(
            self.heads,
            Norm(self.groups, _EPSILON),
            self.pixel_major_context,
            name="attentions_0",
        )(x, context)
        return VideoResnetBlock(channels, norm, name="resnets_1")(x, embedding)


class VideoUNet(nn.Module):
    """Noisy clips, their times and a context to what the schedule asks for: noise or velocity.

    Attributes:
        channels: of the output.
        widths: channels of every level, the finest first; each level but the last halves the
            frames, none the number of frames.
        heads: of every level's transformers, the last one's in the middle.
        attention: whether a level has transformers; the middle always has one.
        layers: residual blocks of a level on the way down; one more on the way up.
        groups: of channels that are normalised together.
        pixel_major_context: see `VideoTransformer`.
    """

    channels: int = 4
    widths: tuple[int, ...] = (128, 256, 256, 512)
    heads: tuple[int, ...] = (8, 16, 16, 32)
    attention: tuple[bool, ...] = (True, True, True, False)
    layers: int = 2
    groups: int = 32
    pixel_major_context: bool = False

    @nn.compact
    def __call__(
        self,
        video: Float[Array, "b t h w _"],
        times: Shaped[Array, " b"],
        context: Float[Array, "b k _"],
    ) -> Float[Array, "b t h w _"]:
        """Denoises.

        Args:
            video: noisy frames first, then channels of conditions. The sides must be multiples of
                2^(levels - 1).
            times: 0..1000 as published.
            context: k tokens; the ejection fraction / 100 in the shape (b, 1, 1) as published.

        Raises:
            UserError: the sides cannot be halved often enough.
        """
        check_sides(video.shape[2:4], len(self.widths))
        embedding = self._embed(times)
        first = conv3x3(_images(video), self.widths[0], "conv_in")
        x = first.reshape(*video.shape[:-1], self.widths[0])
        skips, last = [x], len(self.widths) - 1
        for level, attention in enumerate(self.attention):
            resampling = None if level == last else "halve"
            epsilon = _EPSILON if attention else _PLAIN_EPSILON
            block = self._level(level, self.layers, epsilon, resampling, f"down_blocks_{level}")
            x, shown = block(x, embedding, context)
            skips += shown
        middle = VideoMidBlock(
            self.groups, self.heads[-1], self.pixel_major_context, name="mid_block"
        )
        x = middle(x, embedding, context)
        layers = self.layers + 1
        for index, level in enumerate(reversed(range(len(self.widths)))):
            resampling = None if level == 0 else "double"
            block = self._level(level, layers, _EPSILON, resampling, f"up_blocks_{index}")
            x, _ = block(x, embedding, context, skips[-layers:])
            del skips[-layers:]
        y = group_norm(_images(x), Norm(self.groups, _PLAIN_EPSILON), "conv_norm_out")
        return conv3x3(nn.silu(y), self.channels, "conv_out").reshape(
            *video.shape[:-1], self.channels
        )

    def _embed(self, times: Array) -> Array:
        width = 4 * self.widths[0]
        embedding = Embedding(width, name="time_embedding")(sinusoids(times, self.widths[0]))
        # The published networks have another branch, for three numbers that echocardiograms lack.
        # It sees zeros; what remains of it is a learned constant.
        return embedding + Embedding(width, name="add_embedding")(jnp.zeros((len(times), 1)))

    def _level(
        self,
        level: int,
        layers: int,
        epsilon: float,
        resampling: Literal["halve", "double"] | None,
        name: str,
    ) -> VideoLevel:
        return VideoLevel(
            self.widths[level],
            layers,
            self.groups,
            epsilon,
            self.heads[level] if self.attention[level] else None,
            resampling,
            self.pixel_major_context,
            name=name,
        )


def with_frame(
    noisy: Float[Array, "b t h w c"], frame: Float[Array, "b h w d"]
) -> Float[Array, "b t h w _"]:
    """Noisy clips with a conditioning frame in further channels of every frame."""
    shape = (*noisy.shape[:-1], frame.shape[-1])
    return jnp.concatenate([noisy, jnp.broadcast_to(frame[:, None], shape)], -1)


def _images(video: Array) -> Array:
    return video.reshape(-1, *video.shape[2:])
