"""ResNets of bottlenecks (He et al., arXiv:1512.03385) in torchvision's layout, in NHWC.

Submodules carry torchvision's names, an index joined by an underscore (`layer3.0.conv1` is
`layer3_0/conv1`), so that importing its weights is a renaming.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from echodfkd_jax.networks.layers import BatchNorm

EXPANSION = 4  # a bottleneck's output is this many times wider than its 3x3 convolution


class Stage(NamedTuple):
    """Bottlenecks of one width.

    Attributes:
        blocks: how many.
        width: of their 3x3 convolutions.
        stride: of the first block's.
        first_dilation: of the first block's.
        dilation: of the others'.
    """

    blocks: int
    width: int
    stride: int
    first_dilation: int = 1
    dilation: int = 1


RESNET50 = (Stage(3, 64, 1), Stage(4, 128, 2), Stage(6, 256, 2), Stage(3, 512, 2))


def conv(
    features: int,
    kernel: int,
    *,
    name: str,
    dtype: DTypeLike,
    stride: int = 1,
    dilation: int = 1,
    use_bias: bool = False,
) -> nn.Conv:
    """A convolution padded as PyTorch's with `padding = dilation * (kernel // 2)`."""
    pad = dilation * (kernel // 2)
    return nn.Conv(
        features,
        (kernel, kernel),
        strides=stride,
        kernel_dilation=dilation,
        padding=((pad, pad), (pad, pad)),
        use_bias=use_bias,
        dtype=dtype,
        precision=_precision(dtype),
        name=name,
    )


def _precision(dtype: DTypeLike) -> jax.lax.Precision | None:
    # Accelerators shorten float32 factors by default; bfloat16 is asked for by name instead.
    return jax.lax.Precision.HIGHEST if dtype == jnp.float32 else None


class Bottleneck(nn.Module):
    """ResNet's block of three convolutions; the stride is on the 3x3 one, as in torchvision."""

    width: int
    stride: int
    dilation: int
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], *, train: bool = False
    ) -> Float[Array, "n h2 w2 d"]:
        """Features (n, h, w, c) to (n, h / stride, w / stride, EXPANSION * width)."""

        def normalised(y: Array, name: str) -> Array:
            return BatchNorm(dtype=self.dtype, name=name)(y, train=train)

        features = EXPANSION * self.width
        y = conv(self.width, 1, name="conv1", dtype=self.dtype)(x)
        y = nn.relu(normalised(y, "bn1"))
        y = conv(
            self.width,
            3,
            name="conv2",
            dtype=self.dtype,
            stride=self.stride,
            dilation=self.dilation,
        )(y)
        y = nn.relu(normalised(y, "bn2"))
        y = conv(features, 1, name="conv3", dtype=self.dtype)(y)
        y = normalised(y, "bn3")
        if self.stride != 1 or x.shape[-1] != features:
            x = conv(features, 1, name="downsample_0", dtype=self.dtype, stride=self.stride)(x)
            x = normalised(x, "downsample_1")
        return nn.relu(x + y)


class ResNet(nn.Module):
    """The stem, the stages and, where it is wanted, the head.

    Attributes:
        stages: ResNet-50's, or other ones.
        outputs: of the linear layer `fc` on the features' mean; None: the features themselves.
        dtype: of activations; weights stay float32 and are cast at use. With float32 products are
            exact to float32 on every device.
    """

    stages: tuple[Stage, ...] = RESNET50
    outputs: int | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], *, train: bool = False
    ) -> Float[Array, "n h2 w2 d"] | Float[Array, "n d"]:
        """Normalised images to features, 4 x the stages' strides smaller, rounded up.

        Args:
            x: images with any number of channels.
            train: normalise with the batch's statistics and update the running ones (collection
                `batch_stats`, to be passed as mutable).
        """
        x = conv(64, 7, name="conv1", dtype=self.dtype, stride=2)(x)
        x = nn.relu(BatchNorm(dtype=self.dtype, name="bn1")(x, train=train))
        # Its padding has no annotation, only a default that is text.
        around = ((1, 1), (1, 1))
        x = nn.max_pool(x, (3, 3), (2, 2), around)  # pyright: ignore[reportArgumentType]
        for index, stage in enumerate(self.stages, start=1):
            for block in range(stage.blocks):
                first = block == 0
                x = Bottleneck(
                    stage.width,
                    stage.stride if first else 1,
                    stage.first_dilation if first else stage.dilation,
                    self.dtype,
                    name=f"layer{index}_{block}",
                )(x, train=train)
        if self.outputs is None:
            return x
        pooled = jnp.mean(x, axis=(1, 2))
        return nn.Dense(
            self.outputs, dtype=self.dtype, precision=_precision(self.dtype), name="fc"
        )(pooled)
