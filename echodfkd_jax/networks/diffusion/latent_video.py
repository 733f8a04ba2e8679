"""A latent video model that two CPU cores can train: a frame auto-encoder and a video U-Net in one.

Of the published system it keeps the parts and their order, in sizes that fit; unlike it, a single
network makes clips with and without a conditioning frame and with and without an ejection fraction,
so that neither a second model of single frames is needed nor guidance impossible.
"""

import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from echodfkd_jax.errors import UserError
from echodfkd_jax.networks.diffusion.autoencoder import FrameAutoencoder, Posterior
from echodfkd_jax.networks.diffusion.layers import Norm
from echodfkd_jax.networks.diffusion.video_unet import VideoUNet, with_frame
from echodfkd_jax.settings.generation import GENERATORS, is_generator


class Condition(NamedTuple):
    """What clips are to be like.

    Attributes:
        fraction: ejection fraction, 0..1; of any value where it is not known.
        known: whether it is.
        frame: latents of one frame of the clip; of any value where it is not shown.
        shown: whether it is.
    """

    fraction: Float[Array, "b"]
    known: Bool[Array, "b"]
    frame: Float[Array, "b h w c"]
    shown: Bool[Array, "b"]


class LatentVideo(nn.Module):
    """Grey clips to latents and back, and what a video U-Net predicts of noisy latents.

    Attributes:
        widths: channels of the auto-encoder's levels, the finest first; each but the last halves.
        latent_channels: of the latents.
        video_widths: channels of the U-Net's levels.
        attention: whether a level has transformers; the middle always has one.
        heads: of its levels' transformers, the last one's in the middle.
        layers: residual blocks of a level of either on the way down; one more on the way up.
        groups: of channels that are normalised together.
    """

    widths: tuple[int, ...] = (16, 32, 64, 64)
    latent_channels: int = 4
    video_widths: tuple[int, ...] = (32, 64, 128)
    attention: tuple[bool, ...] = (False, True, True)
    heads: tuple[int, ...] = (2, 4, 8)
    layers: int = 1
    groups: int = 8

    def setup(self) -> None:
        """Declares the two networks."""
        self.autoencoder = FrameAutoencoder(
            channels=1,
            latent_channels=self.latent_channels,
            widths=self.widths,
            layers=self.layers,
            norm=Norm(self.groups, 1e-6),
        )
        self.video = VideoUNet(
            channels=self.latent_channels,
            widths=self.video_widths,
            heads=self.heads,
            attention=self.attention,
            layers=self.layers,
            groups=self.groups,
        )

    def __call__(
        self, frames: Float[Array, "n h w 1"], noise: Float[Array, "n _ _ _"]
    ) -> tuple[Float[Array, "n h w 1"], Float[Array, "1 n _ _ _"]]:
        """Both networks once, to make their weights: frames through their latents, and one clip."""
        posterior = self.encode(frames)
        latents = posterior.sample(noise)
        # Any size that the video network can halve.
        clip = latents[None, :, :1, :1].repeat(16, 2).repeat(16, 3)
        nothing = jnp.zeros(1)
        condition = Condition(nothing, nothing > 0, clip[:, 0], nothing > 0)
        return self.decode(latents), self.predict(clip, nothing, condition)

    def encode(self, frames: Float[Array, "n h w 1"]) -> Posterior:
        """The latents' distribution of frames in -1..1.

        Raises:
            UserError: the sides cannot be halved often enough.
        """
        return self.autoencoder.encode(frames)

    def decode(self, latents: Float[Array, "n _ _ c"]) -> Float[Array, "n _ _ 1"]:
        """Frames of latents as they were encoded, in about -1..1."""
        return self.autoencoder.decode(latents)

    def predict(
        self,
        noisy: Float[Array, "b t h w c"],
        times: Shaped[Array, "b"],
        condition: Condition,
    ) -> Float[Array, "b t h w c"]:
        """What is learnt of noisy latents: their velocity.

        Args:
            noisy: standardised latents with noise; the sides can be halved as often as needed.
            times: 0..999.
            condition: its frame is standardised as well.
        """
        known = condition.known.astype(noisy.dtype)
        # Around 0: what is not known is in the middle, and the second number says so.
        token = jnp.stack([known * (2 * condition.fraction - 1), known], -1)[:, None]
        shown = condition.shown.astype(noisy.dtype)[:, None, None, None]
        flag = jnp.broadcast_to(shown, (*condition.frame.shape[:-1], 1))
        frame = jnp.concatenate([shown * condition.frame, flag], -1)
        return self.video(with_frame(noisy, frame), times, token)


_LARGEST = 4096


def build_generator(name: str, **fields: Any) -> LatentVideo:
    """Makes a model from `config.model`.

    Args:
        name: one of `settings.generation.GENERATORS`.
        **fields: of `LatentVideo`.

    Raises:
        UserError: an unknown name or field, or a size that cannot be.
    """
    if not is_generator(name):
        raise UserError(
            f"config.model.name={name!r} makes no clips; expected {' or '.join(GENERATORS)}"
        )
    known = {field.name for field in dataclasses.fields(LatentVideo)} - {"parent", "name"}
    if unknown := sorted(fields.keys() - known):
        raise UserError(
            f"config.model.{unknown[0]} is no field of model {name!r}; it has {sorted(known)}"
        )
    fields = {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
    for field, value in fields.items():
        sizes = value if isinstance(value, tuple) else (value,)
        wanted, least = (bool, False) if field == "attention" else (int, 1)
        if not sizes or any(
            type(each) is not wanted or not least <= each <= _LARGEST for each in sizes
        ):
            expected = "True or False for each level" if wanted is bool else f"1 to {_LARGEST}"
            raise UserError(f"config.model.{field}={value!r}: expected {expected}")
    model = LatentVideo(**fields)
    for field in ("attention", "heads"):
        if len(getattr(model, field)) != len(model.video_widths):
            raise UserError(
                f"config.model.{field}={getattr(model, field)}: expected one for each of "
                f"video_widths, {model.video_widths}"
            )
    for width in (*model.widths, *model.video_widths):
        if width % model.groups:
            raise UserError(
                f"config.model.groups={model.groups} does not divide the width {width}; use "
                "another one, or other widths"
            )
    for width, heads in zip(model.video_widths, model.heads):
        if width % heads:
            raise UserError(f"config.model.heads={model.heads}: {heads} do not divide {width}")
    return model
