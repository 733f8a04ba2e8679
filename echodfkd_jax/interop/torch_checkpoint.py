"""State dicts from and to checkpoint files: PyTorch (`.pt`, `.pth`, `.ckpt`) and safetensors.

A PyTorch file is a pickle, which can run any code when read. It is read here with
`weights_only=True` and nothing else: tensors, plain containers and the few inert classes below. A
file that holds anything more is refused, naming what it met.
"""

import contextlib
import pathlib
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from echodfkd_jax import buckets, files
from echodfkd_jax.errors import UserError
from echodfkd_jax.networks.safetensors import read_arrays

_EXTENSIONS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
# Where training scripts and PyTorch Lightning put the weights among their other records.
_DAMAGES = (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, MemoryError)
_STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model")


def read_state_dict(path: files.PathLike) -> dict[str, np.ndarray]:
    """The weights in a checkpoint file, by their key.

    Args:
        path: a `.safetensors` file, or a `.pt`, `.pth`, `.ckpt` or `.bin` file, for which PyTorch
            is imported. In the latter the weights are the file's dictionary itself or its entry
            `state_dict`, `model_state_dict` or `model`.

    Returns:
        Arrays in the file's order and types; bfloat16, which NumPy lacks, becomes float32.

    Raises:
        UserError: the file is missing, damaged, of another kind, holds more than weights and
            plain values, or PyTorch is needed and not installed.
    """
    path = buckets.local_copy(path)
    _check_kind(path)
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint file; check the path")
    if path.suffix == ".safetensors":
        arrays, _ = read_arrays(path)
        return {key: _without_bfloat16(array) for key, array in arrays.items()}
    return _read_torch(path)


def write_state_dict(path: files.PathLike, state_dict: Mapping[str, np.ndarray]) -> None:
    """Writes weights so that `read_state_dict` and PyTorch read them, whole or not at all.

    Args:
        path: as for `read_state_dict`. In a PyTorch file the weights are under `state_dict`, as
            PyTorch Lightning has them.
        state_dict: arrays by key.

    Raises:
        UserError: an unknown kind of file, or PyTorch is needed and not installed.
    """
    path = files.path_of(path)
    _check_kind(path)
    if path.suffix == ".safetensors":
        import safetensors.numpy

        # safetensors writes the memory as it lies, so that no view may be left.
        arrays = {key: np.asarray(value, order="C") for key, value in state_dict.items()}
        files.write_bytes(path, safetensors.numpy.save(arrays))
    else:
        try:
            import torch
        except ModuleNotFoundError as error:
            raise UserError(
                f"{path}: writing a PyTorch file needs PyTorch; `pip install torch`, or name a "
                ".safetensors file"
            ) from error
        tensors = {key: torch.from_numpy(np.array(value)) for key, value in state_dict.items()}
        with files.replacing(path) as file:
            torch.save({"state_dict": tensors}, file)


def _check_kind(path: pathlib.PurePath) -> None:
    if path.suffix not in _EXTENSIONS:
        raise UserError(
            f"{path}: unknown kind of checkpoint {path.suffix!r}; expected one of "
            f"{', '.join(_EXTENSIONS)}"
        )


def _without_bfloat16(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _read_torch(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise UserError(
            f"{path}: reading a PyTorch file needs PyTorch; `pip install torch`, or convert the "
            "file to safetensors"
        ) from error
    _check_stored(path)
    try:
        with _inert_classes(torch):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle fails with whatever its bytes happen to say
        forbidden = re.search(r"GLOBAL (\S+)", str(error))
        if isinstance(error, pickle.UnpicklingError) and forbidden:
            raise UserError(
                f"{path}: holds {forbidden[1]}, which is neither a tensor nor a plain value and "
                "could run any code when unpickled; ask for, or save, the state dict alone"
            ) from error
        raise UserError(
            f"{path}: damaged, or no PyTorch file ({type(error).__name__} while reading it); get "
            "the file again"
        ) from error
    state_dict = _find_state_dict(content, torch.Tensor)
    if state_dict is None:
        raise UserError(
            f"{path}: no state dict found; expected a dictionary of tensors, or one under "
            f"{', '.join(map(repr, _STATE_DICT_KEYS))}"
        )
    for key, value in state_dict.items():
        if value.layout != torch.strided or value.is_quantized:
            raise UserError(f"{path}: {key} is sparse or quantised; expected plain tensors")
        # A view may repeat a few bytes to any size.
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise UserError(f"{path}: {key} claims {list(value.shape)}, more than the file has")
    return {key: _to_numpy(value, torch) for key, value in state_dict.items()}


def _check_stored(path: pathlib.Path) -> None:
    """Refuses compressed entries: PyTorch writes none, and they may unpack to any size."""
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [i for i in archive.infolist() if i.compress_type != zipfile.ZIP_STORED]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # PyTorch's older format, or damaged, which the reader finds out.
    if packed:
        raise UserError(f"{path}: {packed[0].filename} is compressed; save it with torch.save")


@contextlib.contextmanager
def _inert_classes(torch: Any) -> Iterator[None]:
    """Lets classes pass that training scripts store beside the weights and that run nothing."""
    import argparse

    import numpy.dtypes

    try:
        from numpy._core import multiarray
    except ImportError:  # NumPy 1
        from numpy.core import multiarray
    number_types = [
        getattr(numpy.dtypes, f"{name}DType")
        for name in ("Bool", "Int32", "Int64", "Float32", "Float64")
    ]
    allowed = [
        argparse.Namespace,
        np.dtype,
        *number_types,
        # NumPy 1 and 2 call the constructor of their numbers by different paths.
        (multiarray.scalar, "numpy.core.multiarray.scalar"),
        (multiarray.scalar, "numpy._core.multiarray.scalar"),
    ]
    with torch.serialization.safe_globals(allowed):
        yield


def _find_state_dict(content: Any, tensor_type: type) -> Mapping[str, Any] | None:
    if not isinstance(content, Mapping):
        return None
    candidates = [content, *(content.get(key) for key in _STATE_DICT_KEYS)]
    for candidate in candidates:
        if (
            isinstance(candidate, Mapping)
            and candidate
            and all(isinstance(value, tensor_type) for value in candidate.values())
        ):
            return candidate
    return None


def _to_numpy(tensor: Any, torch: Any) -> np.ndarray:
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
