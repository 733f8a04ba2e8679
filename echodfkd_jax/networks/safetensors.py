"""Flax variables as safetensors files: one flat file, no code in it, readable everywhere."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from flax import traverse_util

from echodfkd_jax import buckets, files
from echodfkd_jax.errors import UserError

_DAMAGES = (
    *(safetensors.SafetensorError, ValueError, TypeError, LookupError, AttributeError),
    *(OSError, OverflowError, MemoryError),
)


def save_variables(
    path: files.PathLike, variables: Mapping[str, Any], metadata: Mapping[str, str]
) -> None:
    """Writes nested variables; a reader sees the old file or the whole new one, never a part.

    Args:
        path: the file; its folder is made if it is missing.
        variables: nested dicts of arrays; keys are joined with "/", as in "params/head/kernel".
        metadata: texts kept in the file's header; `model` is JSON of the model's name and fields.
    """
    flat = traverse_util.flatten_dict(dict(variables), sep="/")
    # safetensors writes the memory as it lies: a transposed view would come back scrambled.
    arrays = {name: np.ascontiguousarray(value) for name, value in flat.items()}
    content = safetensors.numpy.save(arrays, metadata=dict(metadata))
    files.write_bytes(path, content)


def load_variables(path: files.PathLike) -> tuple[dict[str, Any], dict[str, str]]:
    """Reads what `save_variables` wrote.

    Returns:
        Nested dicts of numpy arrays, and the metadata (empty if the file has none).

    Raises:
        UserError: the file is missing, is no safetensors file, or is damaged.
    """
    flat, metadata = read_arrays(path)
    try:
        return traverse_util.unflatten_dict(flat, sep="/"), metadata
    except _DAMAGES as error:
        raise _unreadable(path, error) from error


def read_arrays(path: files.PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """All arrays of a safetensors file by name, in its own types, and its metadata.

    Raises:
        UserError: the file is missing, is no safetensors file, or is damaged.
    """
    local = buckets.local_copy(path)
    if not local.is_file():
        raise UserError(f"{path}: no such file; expected a safetensors file of weights")
    # NumPy knows bfloat16 once ml_dtypes, which JAX needs anyway, is imported.
    import ml_dtypes  # noqa: F401

    try:
        with safetensors.safe_open(local, framework="numpy") as file:
            metadata = file.metadata() or {}
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except _DAMAGES as error:
        raise _unreadable(path, error) from error


def _unreadable(path: files.PathLike, error: Exception) -> UserError:
    return UserError(
        f"{path}: not a readable safetensors file of weights ({error}); copy it again or name "
        "another file"
    )


def check_tree(
    path: files.PathLike, variables: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    """Checks that loaded variables are exactly those a model has.

    Args:
        path: where they come from; named in the message.
        variables: nested dicts of arrays.
        expected: the model's own variables, or their shapes (`jax.eval_shape` of its `init`).

    Raises:
        UserError: the first entry, in alphabetical order, that is missing, extra, or has another
            shape or type.
    """
    found = traverse_util.flatten_dict(dict(variables), sep="/")
    wanted = traverse_util.flatten_dict(dict(expected), sep="/")
    advice = "the file belongs to another model; change the model's fields or the file"
    for name in sorted(found.keys() | wanted.keys()):
        if name not in found:
            raise UserError(f"{path}: {name} is missing, {_describe(wanted[name])}; {advice}")
        if name not in wanted:
            raise UserError(f"{path}: {name} is not part of the model; {advice}")
        if _describe(found[name]) != _describe(wanted[name]):
            raise UserError(
                f"{path}: {name} is {_describe(found[name])}, expected "
                f"{_describe(wanted[name])}; {advice}"
            )


def _describe(array: Any) -> str:
    return f"{np.dtype(array.dtype).name} {tuple(array.shape)}"
