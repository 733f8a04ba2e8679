"""A small per-frame U-Net (Ronneberger et al., 1505.04597), and the teacher made of one."""

import json
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, UInt8

from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.safetensors import check_tree, load_variables
from echodfkd_jax.student.layers import (
    BatchNorm,
    Conv3x3,
    average_pool,
    max_pool_2x2,
    resize_bilinear,
    standardise,
    torch_uniform,
    upsample_nearest_2x,
)
from echodfkd_jax.teachers.base import predict_in_batches, weights_fingerprint

SHIPPED_WEIGHTS = Path(__file__).parent / "weights" / "unet.safetensors"
# Frames per compiled call.
BATCH_FRAMES = 32


class UNet(nn.Module):
    """Convolutional encoder and decoder with skip connections; every frame by itself.

    The first layer normalises: each frame is scaled to 0..1 and then to zero mean and unit
    deviation, so that gain and brightness of the scanner do not matter. Each level is two 3x3
    convolutions with batch normalisation and ReLU; 2x2 max pooling down, nearest upsampling up.

    Attributes:
        channels: width of each level, finest first; the default has half a million weights.
        stride: s averages s x s pixels first and enlarges the logits bilinearly, s*s times
            cheaper.
        axis_name: mapped axis over which normalisation statistics are shared in training.
        dtype: type of the products' factors; statistics and logits stay float32.
    """

    channels: tuple[int, ...] = (16, 32, 64, 128)
    stride: int = 1
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, video: Float[Array, "b t h w 1"], *, train: bool = False
    ) -> Float[Array, "b t h w 1"]:
        """Segments every frame.

        Args:
            video: pixel values 0..255; the sides must be multiples of
                stride * 2^(len(channels)-1).
            train: normalise with the batch's statistics and update the running ones.

        Returns:
            float32 logits of the left ventricle.

        Raises:
            UserError: the sides cannot be halved often enough.
        """
        height, width = video.shape[2:4]
        multiple = self.stride * 2 ** (len(self.channels) - 1)
        if height % multiple or width % multiple:
            raise UserError(
                f"frames of {height}x{width} pixels do not fit a U-Net with "
                f"{len(self.channels)} levels and stride={self.stride}; use sides that are "
                f"multiples of {multiple}, fewer channels or a smaller stride"
            )
        hidden = average_pool(video.reshape(-1, height, width, 1), self.stride)
        hidden = standardise(hidden)
        skips = []
        for level, features in enumerate(self.channels):
            if level:
                hidden = max_pool_2x2(hidden)
            hidden = self._convolve_twice(hidden, features, f"down_{level}", train=train)
            skips.append(hidden)
        for level in reversed(range(len(self.channels) - 1)):
            hidden = jnp.concatenate([skips[level], upsample_nearest_2x(hidden)], -1)
            features = self.channels[level]
            hidden = self._convolve_twice(hidden, features, f"up_{level}", train=train)
        init = torch_uniform(self.channels[0])
        head = nn.Dense(1, kernel_init=init, bias_init=init, name="head")
        logits = resize_bilinear(head(hidden.astype(jnp.float32)), self.stride)
        return logits.reshape(*video.shape)

    def _convolve_twice(self, hidden: Array, features: int, name: str, *, train: bool) -> Array:
        for index in range(2):
            hidden = Conv3x3(features, self.dtype, name=f"{name}_{index}")(hidden)
            norm = BatchNorm(self.axis_name, self.dtype, name=f"{name}_{index}_norm")
            hidden = nn.relu(norm(hidden, train=train))
        return hidden


class UNetTeacher:
    """The U-Net as a teacher, with weights from a safetensors file.

    Attributes:
        name: "unet".
        fingerprint: the name and a hash of the weights.
        model: the network, made from the fields in the file's header.
        variables: its weights.
    """

    name = "unet"

    def __init__(self, weights: str | Path = "") -> None:
        """Loads the weights.

        Args:
            weights: a file written with metadata `model`, JSON of {"name": "unet", fields...};
                empty for the shipped one.

        Raises:
            UserError: the file is missing, damaged, or holds another model.
        """
        path = Path(weights) if weights else SHIPPED_WEIGHTS
        if not path.is_file():
            raise UserError(
                f"{path}: the U-Net teacher's weights are missing; train them with "
                "`python main.py --config=configs/teacher.py` or set config.teacher.weights"
            )
        variables, metadata = load_variables(path)
        self.model = _model_from_metadata(path, metadata)
        expected = jax.eval_shape(self.model.init, jax.random.key(0), _example(self.model))
        check_tree(path, variables, expected)
        self.fingerprint = weights_fingerprint(self.name, variables)
        self.variables = jax.device_put(variables)
        self._jitted = jax.jit(self.apply_fn)

    def apply_fn(self, frames: Float32[Array, "n h w"]) -> Float32[Array, "n h w"]:
        """Probabilities for frames 0..255, to be jitted into another function."""
        video = frames[:, None, :, :, None]
        return jax.nn.sigmoid(self.model.apply(self.variables, video)[:, 0, :, :, 0])

    def __call__(self, frames: UInt8[np.ndarray | Array, "n h w"]) -> Float32[Array, "n h w"]:
        """Probabilities 0..1 for grey frames; no frames give no frames."""
        return predict_in_batches(self._jitted, frames, BATCH_FRAMES)


def _example(model: UNet) -> Float[Array, "1 1 h w 1"]:
    side = model.stride * 2 ** (len(model.channels) - 1)
    return jnp.zeros((1, 1, side, side, 1))


def _model_from_metadata(path: Path, metadata: dict[str, str]) -> UNet:
    try:
        fields = json.loads(metadata["model"])
        name = fields.pop("name")
        fields["channels"] = tuple(fields.get("channels", UNet.channels))
        if name != "unet":
            raise ValueError(f"its model is {name!r}")
        return UNet(**fields)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path}: the header does not describe a U-Net ({error!r}); expected metadata "
            '`model` such as {"name": "unet", "channels": [16, 32, 64, 128], "stride": 2}'
        ) from error
