"""The small U-Net as a teacher."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, UInt8

from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import Structures
from echodfkd_jax.networks import shipped
from echodfkd_jax.networks.inference import overlapping_chunks
from echodfkd_jax.networks.loaded import load_network, weights_fingerprint
from echodfkd_jax.networks.registry import build_model
from echodfkd_jax.networks.unet import UNet
from echodfkd_jax.teachers.base import FrameTeacher, predict_in_batches

# Frames per compiled call, each by itself.
CHUNK_FRAMES = 32


class UNetTeacher(FrameTeacher):
    """The U-Net as a teacher, with weights from a safetensors file.

    Attributes:
        name: "unet".
        fingerprint: the name and a hash of the weights.
        model: the network, made from the fields in the file's header.
        variables: its weights, on the device.
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
        path = Path(weights) if weights else shipped.TEACHER
        if not path.is_file():
            raise UserError(
                f"{path}: the U-Net teacher's weights are missing; train them with "
                "`python main.py --config=configs/teacher.py` or set config.teacher.weights"
            )
        loaded = load_network(path, _build_unet)
        self.model = loaded.model
        self.fingerprint = weights_fingerprint(self.name, loaded.variables)
        self.variables = jax.device_put(loaded.variables)
        self._jitted = jax.jit(self.apply_fn)

    @property
    def structures(self) -> Structures:
        """What it outlines."""
        return self.model.structures

    def apply_fn(self, frames: Float32[Array, "n h w"]) -> Float32[Array, "n h w s"]:
        """Probabilities for frames 0..255 of one clip, to be jitted into another function."""
        video = frames[None, :, :, :, None]
        return jax.nn.sigmoid(self.model.apply(self.variables, video)[0])

    def __call__(self, frames: UInt8[np.ndarray | Array, "n h w"]) -> Float32[Array, "n h w s"]:
        """Probabilities 0..1 for the grey frames of one clip; no frames give no frames."""
        if self.model.reach == 0:
            return predict_in_batches(
                self._jitted, frames, CHUNK_FRAMES, num_structures=len(self.structures)
            )
        parts = [
            jax.lax.slice_in_dim(self._jitted(jnp.asarray(frames[first:last], jnp.float32)), *keep)
            for first, last, keep in overlapping_chunks(len(frames), self.model.reach)
        ]
        return jnp.concatenate([jnp.zeros((0, *frames.shape[1:], len(self.structures))), *parts])


def _build_unet(**fields: Any) -> UNet:
    model = build_model(**fields)
    if not isinstance(model, UNet):
        raise ValueError(f"the model is {fields['name']!r}, which is no U-Net")
    return model
