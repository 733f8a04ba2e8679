"""The frame auto-encoder (a VAE) between pixels and the latents that the generators work on.

Its layout is that of latent diffusion's first stage (Rombach et al., arXiv:2112.10752);
`FrameAutoencoder()` is EchoNet-Synthetic's. With its published weights half precision overflows:
decode in float32.
"""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from echodfkd_jax.networks.diffusion.blocks import DownBlock, MidBlock, UpBlock
from echodfkd_jax.networks.diffusion.image_unet import check_sides
from echodfkd_jax.networks.diffusion.layers import Conv1x1, Norm, conv3x3, group_norm

# The published generators work on latents times this: of about unit variance.
LATENT_SCALE = 0.18215
LOG_VARIANCE_LIMITS = (-30.0, 20.0)


class Posterior(NamedTuple):
    """A normal distribution of latents, every number by itself.

    Attributes:
        mean: (n, h, w, c).
        log_variance: (n, h, w, c), within `LOG_VARIANCE_LIMITS`.
    """

    mean: Float[Array, "n h w c"]
    log_variance: Float[Array, "n h w c"]

    def sample(self, noise: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        """A draw, of standard normal noise."""
        return self.mean + jnp.exp(0.5 * self.log_variance) * noise

    def divergence(self) -> Float[Array, " n"]:
        """Kullback-Leibler divergence from the standard normal distribution, in nats per image."""
        square = jnp.square(self.mean) + jnp.exp(self.log_variance)
        return 0.5 * (square - 1 - self.log_variance).sum((1, 2, 3))


def posterior_of(moments: Float[Array, "n h w _"]) -> Posterior:
    """The distribution whose mean and log-variance are the two halves of the channels."""
    mean, log_variance = jnp.split(moments, 2, -1)
    return Posterior(mean, jnp.clip(log_variance, *LOG_VARIANCE_LIMITS))


class Encoder(nn.Module):
    """Frames to the features at the lowest level, and to moments; fields as `FrameAutoencoder`."""

    latent_channels: int
    widths: tuple[int, ...]
    layers: int
    norm: Norm

    @nn.compact
    def __call__(
        self, frames: Float[Array, "n _ _ _"]
    ) -> tuple[Float[Array, "n h w _"], Float[Array, "n h w _"]]:
        """Frames to moments, and the normalised features that they are made of."""
        x = conv3x3(frames, self.widths[0], "conv_in")
        last = len(self.widths) - 1
        for level, width in enumerate(self.widths):
            block = DownBlock(
                width,
                self.layers,
                self.norm,
                halving=None if level == last else "padded_after",
                name=f"down_blocks_{level}",
            )
            x, _ = block(x)
        x = MidBlock(self.norm, None, name="mid_block")(x)
        features = nn.silu(group_norm(x, self.norm, "conv_norm_out"))
        return conv3x3(features, 2 * self.latent_channels, "conv_out"), features


class Decoder(nn.Module):
    """Latents to frames; fields as `FrameAutoencoder`."""

    channels: int
    widths: tuple[int, ...]
    layers: int
    norm: Norm

    @nn.compact
    def __call__(self, latents: Float[Array, "n h w _"]) -> Float[Array, "n _ _ _"]:
        """Latents to frames."""
        x = conv3x3(latents, self.widths[-1], "conv_in")
        x = MidBlock(self.norm, None, name="mid_block")(x)
        for index, level in enumerate(reversed(range(len(self.widths)))):
            block = UpBlock(
                self.widths[level],
                self.layers + 1,
                self.norm,
                doubling=None if level == 0 else "conv",
                name=f"up_blocks_{index}",
            )
            x = block(x)
        x = nn.silu(group_norm(x, self.norm, "conv_norm_out"))
        return conv3x3(x, self.channels, "conv_out")


class FrameAutoencoder(nn.Module):
    """Frames to latents, 2^(levels - 1) times smaller, and back.

    Attributes:
        channels: of the frames.
        latent_channels: of the latents.
        widths: channels of every level, the finest first.
        layers: residual blocks of a level of the encoder; the decoder has one more.
        norm: of all layers.
    """

    channels: int = 3
    latent_channels: int = 4
    widths: tuple[int, ...] = (128, 256, 256, 512)
    layers: int = 2
    norm: Norm = Norm(epsilon=1e-6)

    def setup(self) -> None:
        """Declares the layers."""
        sizes = (self.widths, self.layers, self.norm)
        self.encoder = Encoder(self.latent_channels, *sizes)
        self.decoder = Decoder(self.channels, *sizes)
        self.quant_conv = Conv1x1(2 * self.latent_channels)
        self.post_quant_conv = Conv1x1(self.latent_channels)

    def __call__(
        self, frames: Float[Array, "n h w c"], noise: Float[Array, "n _ _ _"]
    ) -> tuple[Float[Array, "n h w c"], Posterior]:
        """Frames through a sample of their latents, and the latents' distribution.

        Args:
            frames: as for `encode`.
            noise: standard normal, of the latents' shape.
        """
        posterior = self.encode(frames)
        return self.decode(posterior.sample(noise)), posterior

    def encode(self, frames: Float[Array, "n _ _ _"]) -> Posterior:
        """The distribution of frames' latents.

        Args:
            frames: pixels / 128 - 1 as published; the sides must be multiples of 2^(levels - 1).

        Raises:
            UserError: the sides cannot be halved often enough.
        """
        check_sides(frames.shape[1:3], len(self.widths))
        return posterior_of(self.quant_conv(self.encoder(frames)[0]))

    def decode(self, latents: Float[Array, "n _ _ _"]) -> Float[Array, "n _ _ _"]:
        """Frames of latents that are not scaled; nothing keeps the pixels within -1..1."""
        return self.decoder(self.post_quant_conv(latents))

    def features(self, frames: Float[Array, "n _ _ _"]) -> Float[Array, "n _"]:
        """The encoder's features of frames, averaged over the image: what sets are compared by."""
        return self.encoder(frames)[1].mean((1, 2))
