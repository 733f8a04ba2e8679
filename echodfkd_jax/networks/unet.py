"""A small U-Net (Ronneberger et al., 1505.04597) that may see time."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE, Structures
from echodfkd_jax.networks.layers import (
    BatchNorm,
    Conv3x3,
    average_pool,
    max_pool_2x2,
    resize_bilinear,
    standardise,
    torch_uniform,
    upsample_nearest_2x,
)

# Steps in time, in frames, of the convolutions that compare frames at the coarsest level.
_DILATIONS = (1, 2, 4)


class UNet(nn.Module):
    """Convolutional encoder and decoder with skip connections.

    The first layer normalises: each frame is scaled to 0..1 and then to zero mean and unit
    deviation, so that gain and brightness of the scanner do not matter. Each level is two 3x3
    convolutions with batch normalisation and ReLU; 2x2 max pooling down, nearest upsampling up.

    With `context` the network sees time, past and future: two more input channels are the mean and
    the deviation of every pixel over the neighbouring frames (walls move, haze does not), and at
    the coarsest level residual convolutions in time compare a frame with those around it. An open
    valve or a wall in the haze is then seen for what it is, and end-systole is known as such.

    Attributes:
        channels: width of each level, finest first; the default has half a million weights.
        context: frames on either side over which pixels are averaged; 0: every frame by itself.
        subsampling: s averages s x s pixels first and enlarges the logits bilinearly, s*s times
            cheaper.
        structures: what is outlined, one logit each.
        axis_name: mapped axis over which normalisation statistics are shared in training.
        dtype: type of the products' factors; statistics and logits stay float32.
        remat: what happens between two levels is computed again for the gradient instead of kept.
    """

    channels: tuple[int, ...] = (16, 32, 64, 128)
    context: int = 0
    subsampling: int = 1
    structures: Structures = LV_ALONE
    axis_name: str | None = None
    dtype: Any = jnp.float32
    remat: bool = False

    @property
    def reach(self) -> int:
        """How many frames before and after a frame have a part in its mask."""
        return self.context + sum(_DILATIONS) if self.context else 0

    @nn.compact
    def __call__(
        self, video: Float[Array, "b t h w 1"], *, train: bool = False
    ) -> Float[Array, "b t h w s"]:
        """Segments every frame of every clip.

        Args:
            video: pixel values 0..255; the sides must be multiples of
                subsampling * 2^(len(channels)-1).
            train: normalise with the batch's statistics and update the running ones.

        Returns:
            float32 logits, one per pixel, frame and structure.

        Raises:
            UserError: the sides cannot be halved often enough.
        """
        height, width = video.shape[2:4]
        multiple = self.subsampling * 2 ** (len(self.channels) - 1)
        if height % multiple or width % multiple:
            raise UserError(
                f"frames of {height}x{width} pixels do not fit a U-Net with "
                f"{len(self.channels)} levels and subsampling={self.subsampling}; use sides that "
                f"are multiples of {multiple}, fewer channels or a smaller subsampling"
            )
        hidden = average_pool(video.reshape(-1, height, width, 1), self.subsampling)
        hidden = standardise(hidden)
        if self.context:
            clips = hidden.reshape(*video.shape[:2], *hidden.shape[1:])
            clips = jnp.concatenate([clips, *over_time(clips, self.context)], -1)
            hidden = clips.reshape(-1, *clips.shape[2:])
        skips = []
        for level, features in enumerate(self.channels):
            if level:
                hidden = max_pool_2x2(hidden)
            hidden = self._convolve_twice(hidden, features, f"down_{level}", train=train)
            skips.append(hidden)
        if self.context:
            clips = hidden.reshape(*video.shape[:2], *hidden.shape[1:])
            for index, dilation in enumerate(_DILATIONS):
                clips = self._compare_frames(clips, dilation, f"time_{index}", train=train)
            hidden = clips.reshape(-1, *clips.shape[2:])
        for level in reversed(range(len(self.channels) - 1)):
            hidden = jnp.concatenate([skips[level], upsample_nearest_2x(hidden)], -1)
            features = self.channels[level]
            hidden = self._convolve_twice(hidden, features, f"up_{level}", train=train)
        init = torch_uniform(self.channels[0])
        head = nn.Dense(len(self.structures), kernel_init=init, bias_init=init, name="head")
        logits = resize_bilinear(head(hidden.astype(jnp.float32)), self.subsampling)
        return logits.reshape(*video.shape[:-1], logits.shape[-1])

    def _convolve_twice(self, hidden: Array, features: int, name: str, *, train: bool) -> Array:
        def twice(network: "UNet", hidden: Array) -> Array:
            for index in range(2):
                convolution = Conv3x3(
                    features, network.dtype, parent=network, name=f"{name}_{index}"
                )
                norm = BatchNorm(
                    network.axis_name, network.dtype, parent=network, name=f"{name}_{index}_norm"
                )
                hidden = nn.relu(norm(convolution(hidden), train=train))
            return hidden

        return (nn.remat(twice) if self.remat else twice)(self, hidden)

    def _compare_frames(
        self, clips: Float[Array, "b t h w c"], dilation: int, name: str, *, train: bool
    ) -> Float[Array, "b t h w c"]:
        """Adds a convolution in time: three products with frames `dilation` apart."""
        num_frames, features = clips.shape[1], clips.shape[-1]
        pad = ((0, 0), (dilation, dilation), (0, 0), (0, 0), (0, 0))
        padded = jnp.pad(clips, pad)
        views = [
            jax.lax.slice_in_dim(padded, tap * dilation, tap * dilation + num_frames, axis=1)
            for tap in range(3)
        ]
        # No bias: the normalisation would take it away again.
        change = nn.Dense(
            features,
            use_bias=False,
            dtype=self.dtype,
            kernel_init=torch_uniform(3 * features),
            name=name,
        )(jnp.concatenate(views, -1))
        norm = BatchNorm(self.axis_name, self.dtype, name=f"{name}_norm")
        images = change.reshape(-1, *clips.shape[2:])
        return clips + nn.relu(norm(images, train=train)).reshape(clips.shape)


def over_time(
    clips: Float[Array, "b t h w c"], context: int
) -> tuple[Float[Array, "b t h w c"], Float[Array, "b t h w c"]]:
    """Mean and standard deviation of every pixel over `context` frames before and after."""

    def total(x: Array) -> Array:
        window = (1, 2 * context + 1, 1, 1, 1)
        padding = ((0, 0), (context, context), (0, 0), (0, 0), (0, 0))
        return jax.lax.reduce_window(x, 0.0, jax.lax.add, window, (1, 1, 1, 1, 1), padding)

    count = total(jnp.ones((1, clips.shape[1], 1, 1, 1), clips.dtype))
    mean = total(clips) / count
    variance = total(clips**2) / count - mean**2
    return mean, jnp.sqrt(jnp.maximum(variance, 0.0))
