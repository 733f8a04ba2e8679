"""A student trained before as the teacher of another.

config.teacher = {"name": "student", "weights": "runs/large", "checkpoint": "best"}
config.teacher = {"name": "student", "weights": "large.safetensors"}
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, UInt8

from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE, Structures
from echodfkd_jax.networks.inference import predict_clip
from echodfkd_jax.networks.loaded import (
    LoadedNetwork,
    check_variables,
    load_network,
    weights_fingerprint,
)
from echodfkd_jax.networks.registry import build_model, describe_model
from echodfkd_jax.runs.checkpoints import restore_variables
from echodfkd_jax.teachers.base import FrameTeacher


@dataclasses.dataclass(frozen=True, eq=False)
class StudentTeacher(FrameTeacher):
    """A trained student's probabilities.

    A recurrent student remembers: the frames of one call are taken as one clip in time order,
    unlike those of teachers that look at each frame alone.

    Attributes:
        fingerprint: name and hash of the network's description and weights.
        network: the student.
        name: "student".
    """

    fingerprint: str
    network: LoadedNetwork
    name: str = "student"

    @property
    def structures(self) -> Structures:
        """What it outlines."""
        return self.network.structures

    def __call__(self, frames: UInt8[np.ndarray | Array, "n h w"]) -> Float32[Array, "n h w s"]:
        """Probabilities 0..1, in steps of 1/255, of one clip's uint8 frames in time order."""
        mask = predict_clip(self.network, np.asarray(frames))
        return jnp.asarray(mask.astype(np.float32) / 255)

    def apply_fn(self, frames: Float32[Array, "n h w"]) -> Float32[Array, "n h w s"]:
        """Pure and jit-able: the same for float32 frames (n, h, w), 0..255, not rounded."""
        model, variables = self.network.model, self.network.variables
        logits = model.apply(variables, frames[None, ..., None], train=False)
        return jax.nn.sigmoid(logits[0])


def load(weights: str = "", *, checkpoint: str | int = "best") -> StudentTeacher:
    """The teacher from a training run, or from a file of exported weights.

    Args:
        weights: a run's folder (its `workdir`), or a `.safetensors` file whose header describes
            the network.
        checkpoint: of a run: "best", "latest" or a step.

    Raises:
        UserError: `weights` is not given, missing, damaged or of another network.
    """
    if not weights:
        raise UserError(
            "config.teacher.weights is empty; the student teacher needs the folder of a training "
            "run or a .safetensors file"
        )
    path = pathlib.Path(weights)
    if not path.is_dir():
        loaded = load_network(path, build_model)
        return from_variables(loaded.model, loaded.variables)
    variables, fields = _read_run(path, checkpoint)
    model = build_model(**fields)
    return from_variables(model, check_variables(path, model, variables))


def from_variables(model: nn.Module, variables: Mapping[str, Any]) -> StudentTeacher:
    """The teacher of a model and its variables in memory."""
    # The same weights at another stride are another teacher.
    description = np.frombuffer(describe_model(model).encode(), np.uint8)
    fingerprint = weights_fingerprint("student", {**variables, "model": description})
    return StudentTeacher(fingerprint, LoadedNetwork(model, jax.device_put(variables)))


def _read_run(path: pathlib.Path, checkpoint: str | int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run's variables and the fields of its model."""
    variables, _ = restore_variables(path, checkpoint)
    config = path / "config.json"
    try:
        content = json.loads(config.read_text())
        fields = dict(content["model"])
        structures = tuple(content.get("structures", LV_ALONE))
        return variables, fields if structures == LV_ALONE else fields | {"structures": structures}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"{config}: cannot be read ({error!r}); expected the configuration of a training run"
        ) from error
