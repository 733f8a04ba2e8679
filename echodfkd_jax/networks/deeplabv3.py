"""DeepLabV3 with a dilated ResNet-50, for inference, in NHWC.

Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017
(arXiv:1706.05587), in the layout of torchvision's `deeplabv3_resnet50`: the last two stages of the
backbone dilate instead of striding, so its features are eight times smaller than the frame; no
auxiliary head. Submodules carry torchvision's names, an index joined by an underscore
(`layer3.0.conv1` is `layer3_0/conv1`), so that importing its weights is a renaming.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from echodfkd_jax.networks.layers import BatchNorm
from echodfkd_jax.networks.resnet import ResNet, Stage, conv

# torchvision's replace_stride_with_dilation=[False, True, True]: a stage that gives up its stride
# doubles the dilation, from its second block on.
STAGES = (Stage(3, 64, 1), Stage(4, 128, 2), Stage(6, 256, 1, 1, 2), Stage(3, 512, 1, 2, 4))
ASPP_RATES = (12, 24, 36)
HEAD_FEATURES = 256


def _norm(name: str, dtype: DTypeLike) -> Callable[[Array], Array]:
    return functools.partial(BatchNorm(dtype=dtype, name=name), train=False)


class PyramidPooling(nn.Module):
    """Atrous spatial pyramid pooling: 1x1, three dilated 3x3, and the image's mean."""

    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w d"]:
        """Features (n, h, w, c) to (n, h, w, 256)."""
        branches = []
        for index, rate in enumerate((1, *ASPP_RATES)):
            kernel = 1 if index == 0 else 3
            y = conv(
                HEAD_FEATURES, kernel, name=f"convs_{index}_0", dtype=self.dtype, dilation=rate
            )(x)
            branches.append(nn.relu(_norm(f"convs_{index}_1", self.dtype)(y)))
        # float32 for the mean: 196 bfloat16 terms would lose digits.
        pooled = jnp.mean(x, axis=(1, 2), keepdims=True, dtype=jnp.float32).astype(x.dtype)
        last = len(branches)
        pooled = conv(HEAD_FEATURES, 1, name=f"convs_{last}_1", dtype=self.dtype)(pooled)
        pooled = nn.relu(_norm(f"convs_{last}_2", self.dtype)(pooled))
        # Bilinear upsampling of one pixel is that pixel everywhere.
        branches.append(jnp.broadcast_to(pooled, branches[0].shape))
        y = jnp.concatenate(branches, axis=-1)
        y = conv(HEAD_FEATURES, 1, name="project_0", dtype=self.dtype)(y)
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
        y = ResNet(STAGES, dtype=self.dtype, name="backbone")(x.astype(self.dtype))
        y = PyramidPooling(self.dtype, name="classifier_0")(y)
        y = conv(HEAD_FEATURES, 3, name="classifier_1", dtype=self.dtype)(y)
        y = nn.relu(_norm("classifier_2", self.dtype)(y))
        y = conv(1, 1, name="classifier_4", dtype=self.dtype, use_bias=True)(y)
        # Half-pixel centres with clamped edges: PyTorch's align_corners=False.
        y = jax.image.resize(
            y[..., 0].astype(jnp.float32), (n, height, width), "bilinear", antialias=False
        )
        return y
