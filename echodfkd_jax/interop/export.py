"""Trained models in formats that run without this project: StableHLO (ONNX: `onnx_export.py`)."""

from collections.abc import Mapping
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, UInt8

from echodfkd_jax import files
from echodfkd_jax.masks import LV_ALONE
from echodfkd_jax.networks.loaded import structures_of

# One file for all of them; where it runs is chosen when it is called.
PLATFORMS = ("cpu", "cuda", "tpu")


def export_stablehlo(
    path: files.PathLike,
    model: nn.Module,
    variables: Mapping[str, Any],
    *,
    height: int = 112,
    width: int = 112,
) -> None:
    """Writes a model with its weights as a serialised StableHLO program.

    It takes uint8 frames (b, t, height, width) and gives float32 probabilities of the same shape,
    for any number of clips and frames; of a model that outlines more than the left ventricle
    (b, t, height, width, structures). `jax.export.deserialize(bytes).call(frames)` runs it.

    Args:
        path: the file; its folder is made if it is missing.
        model: takes video (b, t, h, w, 1) in 0..255 and gives logits.
        variables: its weights; they become part of the program.
        height: of the frames, in pixels.
        width: of the frames, in pixels.
    """
    clips, frames = jax.export.symbolic_shape("clips, frames")
    shape = jax.ShapeDtypeStruct((clips, frames, height, width), jnp.uint8)
    constants = jax.tree.map(np.asarray, dict(variables))

    def probabilities(frames: UInt8[Array, "b t h w"]) -> Float32[Array, "b t h w *s"]:
        return _probabilities(model, constants, frames)

    exported = jax.export.export(jax.jit(probabilities), platforms=PLATFORMS)(shape)
    files.write_bytes(path, bytes(exported.serialize()))


def _probabilities(
    model: nn.Module, variables: Mapping[str, Any], frames: UInt8[Array, "b t h w"]
) -> Float32[Array, "b t h w *s"]:
    video = frames[..., None].astype(jnp.float32)
    logits = cast(Array, model.apply(variables, video, train=False))
    return jax.nn.sigmoid(logits[..., 0] if structures_of(model) == LV_ALONE else logits)
