"""ONNX files that take grey frames, run by onnxruntime, and the numbers in their metadata."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32

from echodfkd_jax.errors import UserError

# The fastest first; onnxruntime lists more than can be loaded on most machines.
_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


def open_session(path: pathlib.Path) -> Any:
    """An `onnxruntime.InferenceSession` of a file.

    Raises:
        UserError: onnxruntime is not installed, or the file is damaged.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise UserError(
            f"{path}: an ONNX file needs onnxruntime; `pip install onnxruntime`"
        ) from error
    available = onnxruntime.get_available_providers()
    providers = [provider for provider in _PROVIDERS if provider in available]
    try:
        return onnxruntime.InferenceSession(path, providers=providers)
    except Exception as error:  # onnxruntime's exceptions have no public common class
        raise UserError(f"{path}: damaged, or no ONNX file ({error}); get it again") from error


def numbers(
    path: pathlib.Path, metadata: Mapping[str, str], key: str, default: str, channels: int
) -> Float32[np.ndarray, "channels"]:
    """One number per channel from an entry of a file's metadata.

    Args:
        path: of the file; for messages.
        metadata: its `custom_metadata_map`.
        key: of the entry: one number, or one per channel with commas.
        default: where there is none.
        channels: how many there are.

    Raises:
        UserError: the entry is something else.
    """
    text = metadata.get(key, default)
    try:
        found = np.array([float(part) for part in text.split(",")], np.float32)
        return np.broadcast_to(found, (channels,))
    except ValueError as error:
        raise UserError(
            f"{path}: metadata entry {key}={text!r}; expected one number, or {channels} with commas"
        ) from error
