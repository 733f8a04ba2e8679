"""R(2+1)D (Tran et al., arXiv:1711.11248) in torchvision's layout: one number from a clip.

Every convolution over space and time is one over space, then one over time. EchoNet-Dynamic's and
EchoNet-Synthetic's ejection-fraction regressors are the 18-layer network with one output.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from echodfkd_jax.networks.layers import BatchNorm

STEM_WIDTH = 45  # between the stem's convolution over space and that over time


class R2Plus1D(nn.Module):
    """Clips to one number, or several.

    Attributes:
        outputs: numbers per clip; None: the features that they are made of.
        widths: of the stages, the first one's that of the stem, too; every stage but the first
            halves space and time.
        blocks: residual blocks per stage; two make the 18-layer network.
    """

    outputs: int | None = 1
    widths: tuple[int, ...] = (64, 128, 256, 512)
    blocks: int = 2

    @nn.compact
    def __call__(
        self, video: Float[Array, "b t h w c"], *, train: bool = False
    ) -> Float[Array, "b _"]:
        """Regresses.

        Args:
            video: colour channels of mean 0 and deviation 1 over the training clips.
            train: normalise with the batch's statistics and update the running ones (collection
                `batch_stats`, to be passed as mutable).
        """
        x = _conv(STEM_WIDTH, (1, 7, 7), (1, 2, 2), "stem_0")(video)
        x = nn.relu(_normalise(x, "stem_1", train=train))
        x = _conv(self.widths[0], (3, 1, 1), (1, 1, 1), "stem_3")(x)
        x = nn.relu(_normalise(x, "stem_4", train=train))
        for stage, width in enumerate(self.widths, start=1):
            for block in range(self.blocks):
                stride = 2 if stage > 1 and block == 0 else 1
                x = ResidualBlock(width, stride, name=f"layer{stage}_{block}")(x, train=train)
        pooled = jnp.mean(x, axis=(1, 2, 3))
        return pooled if self.outputs is None else nn.Dense(self.outputs, name="fc")(pooled)


class ResidualBlock(nn.Module):
    """Two factorised convolutions and a shortcut.

    Attributes:
        width: output channels.
        stride: of the first convolution, in space and time.
    """

    width: int
    stride: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t h w c"], *, train: bool
    ) -> Float[Array, "b t2 h2 w2 d"]:
        """Features to features."""
        channels = x.shape[-1]
        # As many weights as one 3x3x3 convolution from the block's input to its output has; the
        # second convolution takes the same width, though its own input is another.
        between = 27 * channels * self.width // (9 * channels + 3 * self.width)
        y = x
        for index, stride in ((1, self.stride), (2, 1)):
            y = _conv(between, (1, 3, 3), (1, stride, stride), f"conv{index}_0_0")(y)
            y = nn.relu(_normalise(y, f"conv{index}_0_1", train=train))
            y = _conv(self.width, (3, 1, 1), (stride, 1, 1), f"conv{index}_0_3")(y)
            y = _normalise(y, f"conv{index}_1", train=train)
            y = nn.relu(y) if index == 1 else y
        if self.stride != 1 or channels != self.width:
            x = _conv(
                self.width, (1, 1, 1), (self.stride, self.stride, self.stride), "downsample_0"
            )(x)
            x = _normalise(x, "downsample_1", train=train)
        return nn.relu(x + y)


def _conv(
    features: int, kernel: tuple[int, int, int], strides: tuple[int, int, int], name: str
) -> nn.Conv:
    padding = tuple((size // 2, size // 2) for size in kernel)
    return nn.Conv(features, kernel, strides, padding, use_bias=False, name=name)


def _normalise(x: Array, name: str, *, train: bool) -> Array:
    images = x.reshape(-1, *x.shape[2:])
    return BatchNorm(name=name)(images, train=train).reshape(x.shape)
