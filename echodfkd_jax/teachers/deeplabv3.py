"""The published teacher: EchoNet-Dynamic's DeepLabV3-ResNet50.

Ouyang et al., "Video-based AI for beat-to-beat assessment of cardiac function", Nature 2020. Its
checkpoint is not part of this project; with a copy, in a config:

    config.teacher = {"name": "deeplabv3", "weights": "deeplabv3_resnet50_random.pt"}
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float32, UInt8

from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.torch_checkpoint import read_state_dict
from echodfkd_jax.interop.torch_modules import variables_from_torch
from echodfkd_jax.networks.deeplabv3 import DeepLabV3
from echodfkd_jax.networks.loaded import weights_fingerprint
from echodfkd_jax.teachers.base import FrameTeacher, predict_in_batches

# Mean and standard deviation of the training videos' three channels, 0..255, that the published
# weights expect (EchoNet-Dynamic's conventions).
CHANNEL_MEAN = (32.085175, 32.591923, 33.37932)
CHANNEL_STD = (50.129288, 50.487717, 51.34619)
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


@dataclasses.dataclass(frozen=True, eq=False)
class DeepLabV3Teacher(FrameTeacher):
    """Frames to LV probabilities, one frame at a time.

    Attributes:
        fingerprint: name, type if not float32, and hash of the weights.
        variables: the network's, on the device.
        dtype: of the network's activations.
        batch_size: frames per call of the compiled network.
        name: "deeplabv3".
    """

    fingerprint: str
    variables: Mapping[str, Any]
    dtype: DTypeLike
    batch_size: int
    name: str = "deeplabv3"

    def __call__(self, frames: UInt8[np.ndarray | Array, "n h w"]) -> Float32[Array, "n h w s"]:
        """Probabilities 0..1 of uint8 frames, any number of them; one compilation per size."""
        # The weights are an argument: as constants they would be compiled in, 160 MB of them.
        predict = functools.partial(_predict, self.variables, dtype=self.dtype)
        return predict_in_batches(predict, frames, self.batch_size)

    def apply_fn(self, frames: Float32[Array, "n h w"]) -> Float32[Array, "n h w s"]:
        """Pure and jit-able: float32 frames (n, h, w), 0..255, to probabilities 0..1."""
        return _predict(self.variables, frames, dtype=self.dtype)


def load(weights: str = "", *, dtype: str = "float32", batch_size: int = 16) -> DeepLabV3Teacher:
    """The teacher with the weights in a file.

    Args:
        weights: the published checkpoint (`.pt`; needs PyTorch to be read) or the same state dict
            as `.safetensors`.
        dtype: of the activations: "float32", or "bfloat16", faster where the device multiplies it
            natively, whose masks differ in few pixels (a test holds how few).
        batch_size: frames per call of the compiled network.

    Raises:
        UserError: `weights` is not given, missing, damaged or of another network; `dtype` is
            neither of the two.
    """
    if not weights:
        raise UserError(
            "config.teacher.weights is empty; the deeplabv3 teacher needs the path of a "
            "checkpoint, such as deeplabv3_resnet50_random.pt of EchoNet-Dynamic"
        )
    if dtype not in DTYPES:
        raise UserError(f"config.teacher.dtype={dtype!r}; expected one of {', '.join(DTYPES)}")
    return from_state_dict(
        read_state_dict(weights), source=weights, dtype=dtype, batch_size=batch_size
    )


def from_state_dict(
    state_dict: Mapping[str, np.ndarray],
    *,
    source: str,
    dtype: str = "float32",
    batch_size: int = 16,
) -> DeepLabV3Teacher:
    """The teacher with weights in memory.

    Args:
        state_dict: of torchvision's network, keys with or without `module.`.
        source: where it comes from, for errors.
        dtype: "float32" or "bfloat16".
        batch_size: frames per call of the compiled network.

    Raises:
        UserError: an entry is missing, left over or of another shape.
    """
    variables = variables_from_torch(
        state_dict,
        variable_shapes(),
        source=source,
        network="torchvision's deeplabv3_resnet50 with one output channel, no auxiliary head",
    )
    name = "deeplabv3" if dtype == "float32" else f"deeplabv3_{dtype}"
    return DeepLabV3Teacher(
        fingerprint=weights_fingerprint(name, variables),
        variables=jax.device_put(variables),
        dtype=DTYPES[dtype],
        batch_size=batch_size,
    )


def variable_shapes() -> Mapping[str, Any]:
    """Shapes of the network's variables; computes nothing."""
    frame = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    return jax.eval_shape(DeepLabV3().init, jax.random.key(0), frame)


def frame_logits(
    variables: Mapping[str, Any], frames: Float32[Array, "n h w"], *, dtype: DTypeLike = jnp.float32
) -> Float32[Array, "n h w"]:
    """Grey frames (n, h, w), 0..255, to logits (n, h, w), normalised as the weights expect."""
    rgb = (frames[..., None] - jnp.array(CHANNEL_MEAN)) / jnp.array(CHANNEL_STD)
    return cast(Array, DeepLabV3(dtype=dtype).apply(variables, rgb))


@functools.partial(jax.jit, static_argnames="dtype")
def _predict(
    variables: Mapping[str, Any], frames: Float32[Array, "n h w"], *, dtype: DTypeLike
) -> Float32[Array, "n h w 1"]:
    return jax.nn.sigmoid(frame_logits(variables, frames, dtype=dtype))[..., None]
