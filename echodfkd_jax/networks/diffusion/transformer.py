"""Transformers over the places of a frame and over the frames of a place, and how both are mixed.

The layout is that of Stable Video Diffusion's blocks (Blattmann et al., arXiv:2311.15127).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from echodfkd_jax.networks.diffusion.layers import (
    Embedding,
    Norm,
    attend,
    dense,
    group_norm,
    layer_norm,
    sinusoids,
)

_WIDENING = 4  # of feed-forward layers and of the embedding of frame numbers


class TimeMixer(nn.Module):
    """A learned mean of what frames give by themselves and what they give together."""

    @nn.compact
    def __call__(
        self, spatial: Float[Array, "*n c"], temporal: Float[Array, "*n c"]
    ) -> Float[Array, "*n c"]:
        """The two mixed."""
        factor = self.param("mix_factor", nn.initializers.constant(0.5), (1,))
        weight = jax.nn.sigmoid(factor).astype(spatial.dtype)
        return weight * spatial + (1 - weight) * temporal


class Attention(nn.Module):
    """Places look at each other, or at a context; no bias but on the result.

    Attributes:
        heads: of equal width.
    """

    heads: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "n s c"], context: Float[Array, "n k _"] | None = None
    ) -> Float[Array, "n _ c"]:
        """What is to be added to x; of one place only where it is the same for all."""
        channels = x.shape[-1]
        source = x if context is None else context.astype(x.dtype)
        query = dense(x, channels, "to_q", use_bias=False)
        key, value = (dense(source, channels, f"to_{n}", use_bias=False) for n in ("k", "v"))
        # The softmax over one token is 1. Query and key have their weights, as in the published
        # files, and neither use nor gradient.
        if source.shape[1] > 1:
            value = attend(query, key, value, self.heads)
        return dense(value, channels, "to_out_0")


class GatedGelu(nn.Module):
    """One half of a linear layer's outputs times the GELU of the other half."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "n s c"]) -> Float[Array, "n s _"]:
        """Features to features."""
        values, gates = jnp.split(dense(x, 2 * self.features, "proj"), 2, -1)
        return values * nn.gelu(gates, approximate=False)


class FeedForward(nn.Module):
    """A perceptron of two layers at every place."""

    @nn.compact
    def __call__(self, x: Float[Array, "n s c"]) -> Float[Array, "n s c"]:
        """What is to be added to x."""
        channels = x.shape[-1]
        return dense(GatedGelu(_WIDENING * channels, name="net_0")(x), channels, "net_2")


class TransformerBlock(nn.Module):
    """Attention among places, attention to a context, feed-forward; each of a norm, and added.

    Attributes:
        heads: of both attentions.
        feed_first: another feed-forward comes before the attentions, as over frames.
    """

    heads: int
    feed_first: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "n s c"], context: Float[Array, "n k _"]
    ) -> Float[Array, "n s c"]:
        """Features to features."""
        if self.feed_first:
            x = x + FeedForward(name="ff_in")(layer_norm(x, "norm_in"))
        x = x + Attention(self.heads, name="attn1")(layer_norm(x, "norm1"))
        x = x + Attention(self.heads, name="attn2")(layer_norm(x, "norm2"), context)
        return x + FeedForward(name="ff")(layer_norm(x, "norm3"))


class VideoTransformer(nn.Module):
    """A block over the places of every frame, then one over the frames of every place.

    Attributes:
        heads: of all attentions.
        norm: before both.
        pixel_major_context: as published, the block over frames is handed the contexts in another
            order than its rows have, so that clips of a batch see each other's; False: its own.
    """

    heads: int
    norm: Norm
    pixel_major_context: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t h w c"], context: Float[Array, "b k _"]
    ) -> Float[Array, "b t h w c"]:
        """Features to features."""
        batch, frames, height, width, channels = x.shape
        places = height * width
        y = group_norm(x.reshape(batch * frames, places, channels), self.norm, "norm")
        y = dense(y, channels, "proj_in")
        y = TransformerBlock(self.heads, name="transformer_blocks_0")(
            y, jnp.repeat(context, frames, axis=0)
        )
        position = Embedding(_WIDENING * channels, channels, name="time_pos_embed")(
            sinusoids(jnp.arange(frames), channels)
        )
        y = y.reshape(batch, frames, places, channels)
        z = (y + position[:, None].astype(y.dtype)).swapaxes(1, 2)
        if self.pixel_major_context:
            rows = jnp.tile(context, (places, 1, 1))
        else:
            rows = jnp.repeat(context, places, axis=0)
        z = TransformerBlock(self.heads, feed_first=True, name="temporal_transformer_blocks_0")(
            z.reshape(batch * places, frames, channels), rows
        )
        z = z.reshape(batch, places, frames, channels).swapaxes(1, 2)
        y = dense(TimeMixer(name="time_mixer")(y, z), channels, "proj_out")
        return x + y.reshape(x.shape)
