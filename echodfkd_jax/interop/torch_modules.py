"""State dicts of PyTorch into the variables of Flax networks that carry the same names, and back.

The conversion is a renaming that is checked both ways: every entry of the file has its place, and
every place its entry.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from echodfkd_jax.errors import UserError

_TORCH_LEAF = {
    ("params", "kernel"): "weight",
    ("params", "scale"): "weight",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}
_COUNTER = "num_batches_tracked"
# Weights trained under torch.nn.DataParallel, as the published ones, have this before every key.
_PARALLEL_PREFIX = "module."
# At most this many names are quoted in an error.
_NAMES_IN_ERROR = 5


def torch_key(path: tuple[str, ...]) -> str:
    """The state-dict key of one Flax variable.

    Example:
        `("batch_stats", "backbone", "layer3_0", "bn1", "mean")` gives
        `"backbone.layer3.0.bn1.running_mean"`.
    """
    collection, *modules, leaf = path
    # The two layers of a perceptron are called so in PyTorch, too.
    module = re.sub(r"(?<!linear)_(\d+)", r".\1", ".".join(modules))
    return f"{module}.{_TORCH_LEAF.get((collection, leaf), leaf)}"


def variables_from_torch(
    state_dict: Mapping[str, np.ndarray],
    template: Mapping[str, Any],
    *,
    source: str,
    network: str,
) -> dict[str, Any]:
    """Flax variables with the values of a PyTorch state dict.

    Args:
        state_dict: arrays by key, with or without the `module.` prefix on every key.
        template: the network's variables or their shapes (`jax.eval_shape` of `init`), float32.
        source: the file's name, for errors.
        network: whose state dict is expected, for errors.

    Returns:
        float32 arrays in the structure of `template`, kernels in Flax's order. Counters
        (`num_batches_tracked`), which nothing uses, are checked and dropped.

    Raises:
        UserError: an entry is missing, left over, or of another shape.
    """
    prefix = _PARALLEL_PREFIX
    if not (state_dict and all(key.startswith(prefix) for key in state_dict)):
        prefix = ""
    places: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(dict(template))
    shapes = {}
    for path, value in places.items():
        shapes[prefix + torch_key(path)] = _torch_shape(path, value.shape)
        if path[-1] == "mean":
            shapes[prefix + _counter_key(path)] = ()
    expected = f"expected the state dict of {network}"
    _refuse(source, "has no entry", shapes.keys() - state_dict.keys(), expected)
    extra = state_dict.keys() - shapes.keys()
    _refuse(source, "has entries that the network lacks:", extra, expected)
    for key, shape in shapes.items():
        found = np.shape(state_dict[key])
        if found != shape:
            raise UserError(f"{source}: {key} has shape {found}, expected {shape}; {expected}")
    flat = {}
    for path in places:
        value = np.asarray(state_dict[prefix + torch_key(path)], np.float32)
        flat[path] = _to_flax(value) if path[-1] == "kernel" else value
    return traverse_util.unflatten_dict(flat)


def torch_from_variables(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The PyTorch state dict with the values of Flax variables; `variables_from_torch` undone.

    Args:
        variables: nested dicts of arrays.

    Returns:
        Arrays by key, in the variables' order; the counters `num_batches_tracked` are zeros.
    """
    state = {}
    for path, value in traverse_util.flatten_dict(dict(variables)).items():
        array = np.asarray(value)
        state[torch_key(path)] = _to_torch(array) if path[-1] == "kernel" else array
        if path[-1] == "mean":
            state[_counter_key(path)] = np.zeros((), np.int64)
    return state


def _counter_key(path: tuple[str, ...]) -> str:
    return torch_key(path).removesuffix("running_mean") + _COUNTER


def _torch_shape(path: tuple[str, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[-1], shape[-2], *shape[:-2]) if path[-1] == "kernel" else tuple(shape)


def _to_flax(kernel: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(kernel, (1, 0), (-2, -1)))


def _to_torch(kernel: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1)))


def _refuse(source: str, complaint: str, keys: set[str], expected: str) -> None:
    """Raises a UserError that names `keys`, if there are any."""
    if not keys:
        return
    names = ", ".join(sorted(keys)[:_NAMES_IN_ERROR])
    more = f" and {len(keys) - _NAMES_IN_ERROR} more" if len(keys) > _NAMES_IN_ERROR else ""
    raise UserError(f"{source} {complaint} {names}{more}; {expected}")
