"""A small U-Net (Ronneberger et al., 1505.04597) that may see time."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE, Structures
from echodfkd_jax.networks.layers import (
    average_pool,
    convolve_twice,
    max_pool_2x2,
    resize_bilinear,
    standardise,
    torch_uniform,
    upsample_nearest_2x,
)


class UNet(nn.Module):
    """Convolutional encoder and decoder with skip connections.

    The first layer normalises: each frame is scaled to 0..1 and then to zero mean and unit
    deviation, so that gain and brightness of the scanner do not matter. Each level is two 3x3
    convolutions with batch normalisation and ReLU; 2x2 max pooling down, nearest upsampling up.

    With `context` the network sees time, past and future: frames so far before and after stand
    beside each frame as further input channels. An open valve or a wall in the haze is then seen
    for what it is, and whether the grey layer along the wall belongs to the cavity (end-diastole)
    or has been pressed out of it (end-systole). At a clip's ends its first or last frame stands for
    those that are missing.

    Attributes:
        channels: width of each level, finest first; the default has half a million weights.
        context: frames shown beside each, by their distance in frames (negative: before it); none:
            every frame by itself.
        subsampling: s averages s x s pixels first and enlarges the logits bilinearly, s*s times
            cheaper.
        structures: what is outlined, one logit each.
        axis_name: mapped axis over which normalisation statistics are shared in training.
        dtype: type of the products' factors; statistics and logits stay float32.
        remat: what happens between two levels is computed again for the gradient instead of kept.
    """

    channels: tuple[int, ...] = (16, 32, 64, 128)
    context: tuple[int, ...] = ()
    subsampling: int = 1
    structures: Structures = LV_ALONE
    axis_name: str | None = None
    dtype: Any = jnp.float32
    remat: bool = False

    @property
    def reach(self) -> int:
        """How many frames before and after a frame have a part in its mask."""
        return max((abs(offset) for offset in self.context), default=0)

    def training_frames(self, num_frames: int) -> tuple[Sequence[int], Sequence[int]]:
        """Which frames of a window the network sees in training, and which it outlines.

        Of windows longer than twice the `reach` those alone whose whole context is there are
        outlined: a window that is learnt from is no clip with a beginning and an end.
        """
        margin = self.reach if num_frames > 2 * self.reach else 0
        outlined = range(margin, num_frames - margin)
        if not margin:
            return outlined, outlined
        seen = {frame + offset for frame in outlined for offset in (0, *self.context)}
        return sorted(seen), outlined

    @nn.compact
    def __call__(
        self, video: Float[Array, "b t h w 1"], *, train: bool = False
    ) -> Float[Array, "b n h w s"]:
        """Segments every frame of every clip.

        Args:
            video: pixel values 0..255; the sides must be multiples of
                subsampling * 2^(len(channels)-1).
            train: normalise with the batch's statistics and update the running ones; the
                `training_frames` alone are outlined.

        Returns:
            float32 logits, one per pixel, frame and structure; n is t but for training.

        Raises:
            UserError: the sides cannot be halved often enough.
        """
        num_frames, height, width = video.shape[1:4]
        multiple = self.subsampling * 2 ** (len(self.channels) - 1)
        if height % multiple or width % multiple:
            raise UserError(
                f"frames of {height}x{width} pixels do not fit a U-Net with "
                f"{len(self.channels)} levels and subsampling={self.subsampling}; use sides that "
                f"are multiples of {multiple}, fewer channels or a smaller subsampling"
            )
        hidden = average_pool(video.reshape(-1, height, width, 1), self.subsampling)
        hidden = standardise(hidden)
        outlined = self.training_frames(num_frames)[1] if train else range(num_frames)
        if self.context:
            clips = hidden.reshape(*video.shape[:2], *hidden.shape[1:])
            clips = beside_each_frame(clips, (0, *self.context), outlined)
            hidden = clips.reshape(-1, *clips.shape[2:])
        skips = []
        for level, features in enumerate(self.channels):
            if level:
                hidden = max_pool_2x2(hidden)
            hidden = self._level(hidden, features, f"down_{level}", train=train)
            skips.append(hidden)
        for level in reversed(range(len(self.channels) - 1)):
            hidden = jnp.concatenate([skips[level], upsample_nearest_2x(hidden)], -1)
            features = self.channels[level]
            hidden = self._level(hidden, features, f"up_{level}", train=train)
        init = torch_uniform(self.channels[0])
        head = nn.Dense(len(self.structures), kernel_init=init, bias_init=init, name="head")
        logits = resize_bilinear(head(hidden.astype(jnp.float32)), self.subsampling)
        return logits.reshape(len(video), len(outlined), *logits.shape[1:])

    def _level(self, hidden: Array, features: int, name: str, *, train: bool) -> Array:
        def twice(network: "UNet", hidden: Array) -> Array:
            shared = {"axis_name": network.axis_name, "dtype": network.dtype}
            return convolve_twice(network, hidden, features, name, train=train, **shared)

        return (nn.remat(twice) if self.remat else twice)(self, hidden)


def beside_each_frame(
    clips: Float[Array, "b t h w 1"], offsets: tuple[int, ...], frames: Sequence[int]
) -> Float[Array, "b n h w c"]:
    """Frames at several distances in time as channels, in the order of `offsets`.

    Args:
        clips: their first and last frames stand for those before and after.
        offsets: in frames.
        frames: beside which they stand, n of them.
    """
    beside = jnp.array(frames)[:, None] + jnp.array(offsets)
    views = clips[..., 0][:, jnp.clip(beside, 0, clips.shape[1] - 1)]
    return jnp.moveaxis(views, 2, -1)
