"""DeepLabV3 with a dilated ResNet-50, for inference, in NHWC.

Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017
(arXiv:1706.05587), in the layout of torchvision's `deeplabv3_resnet50`: the last two stages of the
backbone dilate instead of striding, so its features are eight times smaller than the frame; no
auxiliary head. Submodules carry torchvision's names, an index joined by an underscore
(`layer3.0.conv1` is `layer3_0/conv1`), so that importing its weights is a renaming.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

# (blocks, width of the 3x3 convolution, stride, dilation of the first block, of the others).
# torchvision's replace_stride_with_dilation=[False, True, True]: a stage that gives up its stride
# doubles the dilation, from its second block on.
STAGES = ((3, 64, 1, 1, 1), (4, 128, 2, 1, 1), (6, 256, 1, 1, 2), (3, 512, 1, 2, 4))
EXPANSION = 4  # a bottleneck's output is this many times wider than its 3x3 convolution
ASPP_RATES = (12, 24, 36)
HEAD_FEATURES = 256
BATCH_NORM_EPSILON = 1e-5  # PyTorch's default


def _conv(
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
        # Accelerators shorten float32 factors by default; bfloat16 is asked for by name instead.
        precision=jax.lax.Precision.HIGHEST if dtype == jnp.float32 else None,
        name=name,
    )


def _norm(name: str, dtype: DTypeLike) -> nn.BatchNorm:
    return nn.BatchNorm(
        use_running_average=True, epsilon=BATCH_NORM_EPSILON, dtype=dtype, name=name
    )


class Bottleneck(nn.Module):
    """ResNet's block of three convolutions; the stride is on the 3x3 one, as in torchvision."""

    width: int
    stride: int
    dilation: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 d"]:
        """Features (n, h, w, c) to (n, h / stride, w / stride, EXPANSION * width)."""
        features = EXPANSION * self.width
        y = _conv(self.width, 1, name="conv1", dtype=self.dtype)(x)
        y = nn.relu(_norm("bn1", self.dtype)(y))
        y = _conv(
            self.width,
            3,
            name="conv2",
            dtype=self.dtype,
            stride=self.stride,
            dilation=self.dilation,
        )(y)
        y = nn.relu(_norm("bn2", self.dtype)(y))
        y = _conv(features, 1, name="conv3", dtype=self.dtype)(y)
        y = _norm("bn3", self.dtype)(y)
        if self.stride != 1 or x.shape[-1] != features:
            x = _conv(features, 1, name="downsample_0", dtype=self.dtype, stride=self.stride)(x)
            x = _norm("downsample_1", self.dtype)(x)
        return nn.relu(x + y)


class Backbone(nn.Module):
    """ResNet-50 whose features are one eighth of the frame (2048 channels)."""

    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "n h w 3"]) -> Float[Array, "n h2 w2 d"]:
        """Normalised RGB (n, h, w, 3) to features (n, h / 8, w / 8, 2048), rounded up."""
        x = nn.relu(
            _norm("bn1", self.dtype)(_conv(64, 7, name="conv1", dtype=self.dtype, stride=2)(x))
        )
        # Its padding has no annotation, only a default that is text.
        around = ((1, 1), (1, 1))
        x = nn.max_pool(x, (3, 3), (2, 2), around)  # pyright: ignore[reportArgumentType]
        for stage, (blocks, width, stride, first_dilation, dilation) in enumerate(STAGES, start=1):
            for block in range(blocks):
                x = Bottleneck(
                    width,
                    stride if block == 0 else 1,
                    first_dilation if block == 0 else dilation,
                    self.dtype,
                    name=f"layer{stage}_{block}",
                )(x)
        return x


class PyramidPooling(nn.Module):
    """Atrous spatial pyramid pooling: 1x1, three dilated 3x3, and the image's mean."""

    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w d"]:
        """Features (n, h, w, c) to (n, h, w, 256)."""
        branches = []
        for index, rate in enumerate((1, *ASPP_RATES)):
            kernel = 1 if index == 0 else 3
            y = _conv(
                HEAD_FEATURES, kernel, name=f"convs_{index}_0", dtype=self.dtype, dilation=rate
            )(x)
            branches.append(nn.relu(_norm(f"convs_{index}_1", self.dtype)(y)))
        # float32 for the mean: 196 bfloat16 terms would lose digits.
        pooled = jnp.mean(x, axis=(1, 2), keepdims=True, dtype=jnp.float32).astype(x.dtype)
        last = len(branches)
        pooled = _conv(HEAD_FEATURES, 1, name=f"convs_{last}_1", dtype=self.dtype)(pooled)
        pooled = nn.relu(_norm(f"convs_{last}_2", self.dtype)(pooled))
        # Bilinear upsampling of one pixel is that pixel everywhere.
        branches.append(jnp.broadcast_to(pooled, branches[0].shape))
        y = jnp.concatenate(branches, axis=-1)
        y = _conv(HEAD_FEATURES, 1, name="project_0", dtype=self.dtype)(y)
        return nn.relu(_norm("project_1", self.dtype)(y))


class DeepLabV3(nn.Module):
    """Semantic segmentation into one class, for inference (BatchNorm uses stored statistics).

    Attributes:
        dtype: of activations; weights stay float32 and are cast at use. With float32 products are
            exact to float32 on every device.
    """

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n h w 3"]) -> Float[Array, "n h w"]:
        """Normalised RGB (n, h, w, 3) to float32 logits (n, h, w)."""
        n, height, width, _ = x.shape
        y = Backbone(self.dtype, name="backbone")(x.astype(self.dtype))
        y = PyramidPooling(self.dtype, name="classifier_0")(y)
        y = _conv(HEAD_FEATURES, 3, name="classifier_1", dtype=self.dtype)(y)
        y = nn.relu(_norm("classifier_2", self.dtype)(y))
        y = _conv(1, 1, name="classifier_4", dtype=self.dtype, use_bias=True)(y)
        # Half-pixel centres with clamped edges: PyTorch's align_corners=False.
        y = jax.image.resize(
            y[..., 0].astype(jnp.float32), (n, height, width), "bilinear", antialias=False
        )
        return y
