"""A student as an ONNX file: `python -m echodfkd_jax.interop.onnx_export IN.safetensors OUT.onnx`.

`--stage=export` calls it in an environment of its own, with requirements-onnx.txt: jax2onnx holds
Orbax back at a version that the training does not work with. Nothing but jax, flax, jaxtyping,
safetensors and jax2onnx is needed here, and nothing but onnxruntime to run the file.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32

from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE
from echodfkd_jax.networks.loaded import structures_of
from echodfkd_jax.networks.shipped import load_student


def export_onnx(
    path: str | Path,
    model: nn.Module,
    variables: Mapping[str, Any],
    *,
    height: int = 112,
    width: int = 112,
) -> None:
    """Writes a student with its weights as ONNX.

    The file takes float32 frames (1, t, height, width), 0..255, and gives float32 probabilities of
    the same shape, for any number of frames; of a student that outlines more than the left
    ventricle (1, t, height, width, structures).

    Args:
        path: the file; its folder is made if it is missing.
        model: the student.
        variables: its weights; they become part of the file.
        height: of the frames, in pixels.
        width: of the frames, in pixels.

    Raises:
        UserError: jax2onnx is not installed.
    """
    try:
        import jax2onnx
        import onnx
    except ImportError as error:
        raise UserError(
            "jax2onnx is missing; make an environment of its own with "
            "`pip install -r requirements-onnx.txt`"
        ) from error
    constants = jax.tree.map(np.asarray, dict(variables))

    def probabilities(frames: Float32[Array, "1 t h w"]) -> Float32[Array, "1 t h w *s"]:
        logits = cast(Array, model.apply(constants, frames[..., None], train=False))
        return jax.nn.sigmoid(logits[..., 0] if structures_of(model) == LV_ALONE else logits)

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = jax.ShapeDtypeStruct((1, "T", height, width), jnp.float32)
    jax2onnx.to_onnx(
        probabilities,
        [shape.shape],
        model_name="echodfkd_student",
        return_mode="file",
        output_path=str(path),
    )
    written = onnx.load(str(path))
    _forget_shapes(written.graph)
    onnx.save(written, str(path))


def _forget_shapes(graph: Any) -> None:
    """Removes the inferred shapes of what lies between a graph's nodes, also inside loops.

    jax2onnx gives the lengths of the warm-up's loop and of the clip's one name, upon which
    onnxruntime lets them share memory and stops. It infers shapes itself where there are none.
    """
    del graph.value_info[:]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _forget_shapes(attribute.g)


def main(argv: list[str]) -> int:
    """Converts one file; returns the exit status."""
    if len(argv) != 3:
        print(f"usage: {argv[0]} IN.safetensors OUT.onnx", file=sys.stderr)
        return 2
    try:
        student = load_student(argv[1])
        export_onnx(argv[2], student.model, student.variables)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"written: {argv[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
