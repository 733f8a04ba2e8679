"""Any network in an ONNX file as a teacher, run by onnxruntime.

    config.teacher = {"name": "onnx", "weights": "network.onnx"}

The file has one input, float32, (n, 1, h, w), (n, 3, h, w) or (n, h, w, 1), and its first output is
(n, 1, h, w), (n, h, w, 1) or (n, h, w). The number of channels must be written in the input's
shape, which tells the layouts apart; the other sizes may be left open, and a fixed n is the size of
a batch. Three channels get the grey frame three times. Entries of the file's metadata say the rest:

    output  "logits" or "probability"; the option `output` can say it instead
    mean    subtracted from frames in 0..255: one number, or one per channel with commas; default 0
    std     divided by after that, likewise; default 1
"""

import dataclasses
import hashlib
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, UInt8

from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.onnx_session import numbers, open_session
from echodfkd_jax.teachers.base import FrameTeacher, predict_in_batches

OUTPUTS = ("logits", "probability")


@dataclasses.dataclass(frozen=True, eq=False)
class OnnxTeacher(FrameTeacher):
    """Frames to LV probabilities through an onnxruntime session.

    Attributes:
        fingerprint: name and hash of the file and of the kind of output.
        source: the file's path, for errors.
        session: the `onnxruntime.InferenceSession`.
        channels: 1 or 3.
        channels_first: True for (n, c, h, w).
        output: "logits" or "probability".
        mean: float32 (channels,), subtracted from frames.
        std: float32 (channels,), divided by.
        batch_size: frames per run.
        name: "onnx".
    """

    fingerprint: str
    source: str
    session: Any
    channels: int
    channels_first: bool
    output: str
    mean: Float32[np.ndarray, "channels"]
    std: Float32[np.ndarray, "channels"]
    batch_size: int
    name: str = "onnx"

    def __call__(self, frames: UInt8[np.ndarray | Array, "n h w"]) -> Float32[Array, "n h w s"]:
        """Probabilities 0..1 of uint8 frames.

        Raises:
            UserError: the network takes other sizes, or what it gives is not what it says.
        """
        return predict_in_batches(self._predict, frames, self.batch_size)

    def apply_fn(self, frames: Float32[Array, "n h w"]) -> Float32[Array, "n h w s"]:
        """Frames (n, h, w), 0..255, to probabilities; jit-able, by a call back to the host."""
        result = jax.ShapeDtypeStruct((*frames.shape, 1), np.float32)
        return jax.pure_callback(self._run_any, result, frames, vmap_method="sequential")

    def _predict(self, frames: Float32[Array, "n h w"]) -> Float32[Array, "n h w s"]:
        return jnp.asarray(self._run(np.asarray(frames)))

    def _run_any(self, frames: Any) -> Float32[np.ndarray, "n h w 1"]:
        """`_run` for a number of frames that need not be the batch size, without JAX."""
        frames = np.asarray(frames)
        missing = -len(frames) % self.batch_size
        padded = np.pad(frames, ((0, missing), (0, 0), (0, 0)))
        batches = np.split(padded, len(padded) // self.batch_size)
        return np.concatenate([self._run(batch) for batch in batches])[: len(frames)]

    def _run(self, frames: np.ndarray) -> Float32[np.ndarray, "n h w 1"]:
        """One batch: (batch_size, h, w), uint8 or float 0..255, to probabilities."""
        x = (frames[..., None].astype(np.float32) - self.mean) / self.std
        if self.channels_first:
            x = x.transpose(0, 3, 1, 2)
        (tensor,) = self.session.get_inputs()
        for axis, (expected, found) in enumerate(zip(tensor.shape, x.shape, strict=True)):
            if isinstance(expected, int) and expected != found:
                raise UserError(
                    f"{self.source}: axis {axis} of its input is {expected}, but frames of "
                    f"{frames.shape[1]}x{frames.shape[2]} pixels give {found}; use clips of that "
                    "size, or export the network with open sizes"
                )
        y = self.session.run([self.session.get_outputs()[0].name], {tensor.name: x})[0]
        if y.size != frames.size or y.shape[0] != len(frames):
            raise UserError(
                f"{self.source} gave shape {y.shape} for frames of shape {frames.shape}; expected "
                "one value per pixel"
            )
        y = y.reshape(*frames.shape, 1).astype(np.float32)
        if self.output == "logits":
            # exp overflows to inf for very negative logits, and 1 / inf is the right answer.
            with np.errstate(over="ignore"):
                return 1 / (1 + np.exp(-y))
        if not (y.min() >= 0 and y.max() <= 1):  # written so that nan is refused too
            raise UserError(
                f"{self.source} gave values from {y.min()} to {y.max()} as probabilities; set "
                "config.teacher.output='logits' if that is what they are"
            )
        return y


def load(weights: str = "", *, output: str = "", batch_size: int = 16) -> OnnxTeacher:
    """The teacher in an ONNX file; needs the package onnxruntime.

    Args:
        weights: the file.
        output: "logits" or "probability"; empty: what the file's metadata says.
        batch_size: frames per run, where the file leaves it open.

    Raises:
        UserError: no file, a damaged one, an input or output of another form, onnxruntime is not
            installed, or nothing says what the output is.
    """
    path = pathlib.Path(weights)
    if not weights or not path.is_file():
        raise UserError(
            f"config.teacher.weights={weights!r} is no file; the onnx teacher needs the path of "
            "an ONNX file"
        )
    session = open_session(path)
    metadata = session.get_modelmeta().custom_metadata_map
    output = output or metadata.get("output", "")
    if output not in OUTPUTS:
        raise UserError(
            f"{path}: output={output!r}; set config.teacher.output, or the file's metadata entry "
            f"'output', to one of {', '.join(OUTPUTS)}"
        )
    channels_first, channels, fixed_batch_size = _input_form(path, session)
    digest = hashlib.sha256(output.encode() + path.read_bytes())
    return OnnxTeacher(
        fingerprint=f"onnx-{digest.hexdigest()[:12]}",
        source=str(path),
        session=session,
        channels=channels,
        channels_first=channels_first,
        output=output,
        mean=numbers(path, metadata, "mean", "0", channels),
        std=numbers(path, metadata, "std", "1", channels),
        batch_size=fixed_batch_size or batch_size,
    )


def _input_form(path: pathlib.Path, session: Any) -> tuple[bool, int, int]:
    """Whether channels come first, how many they are, and the fixed batch size (0: open)."""
    tensors = session.get_inputs()
    shape = tuple(tensors[0].shape)
    if len(tensors) == 1 and tensors[0].type == "tensor(float)" and len(shape) == 4:
        batch_size = shape[0] if isinstance(shape[0], int) else 0
        if shape[1] in (1, 3):
            return True, shape[1], batch_size
        if shape[3] == 1:
            return False, 1, batch_size
    raise UserError(
        f"{path}: inputs {[(tensor.type, tuple(tensor.shape)) for tensor in tensors]}; expected "
        "one of float32, (n, 1, h, w), (n, 3, h, w) or (n, h, w, 1)"
    )
