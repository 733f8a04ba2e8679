"""torchvision's DeepLabV3 state dict into the variables of the Flax network.

The Flax network carries torchvision's names, so the conversion is a renaming that is checked both
ways: every entry of the file has its place, and every place its entry.
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
    ("params", "bias"): "bias",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}
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
    module = re.sub(r"_(\d+)", r".\1", ".".join(modules))
    return f"{module}.{_TORCH_LEAF[collection, leaf]}"


def variables_from_torch(
    state_dict: Mapping[str, np.ndarray], template: Mapping[str, Any], *, source: str
) -> dict[str, Any]:
    """Flax variables with the values of a PyTorch state dict.

    Args:
        state_dict: arrays by key, with or without the `module.` prefix on every key.
        template: the network's variables or their shapes (`jax.eval_shape` of `init`), float32.
        source: the file's name, for errors.

    Returns:
        float32 arrays in the structure of `template`; convolution kernels HWIO instead of OIHW.
        Counters (`num_batches_tracked`), which nothing uses in inference, are checked and dropped.

    Raises:
        UserError: an entry is missing, left over, or of another shape.
    """
    prefix = _PARALLEL_PREFIX
    if not (state_dict and all(key.startswith(prefix) for key in state_dict)):
        prefix = ""
    places: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(template)
    shapes = {}
    for path, value in places.items():
        shape = tuple(value.shape)
        if path[-1] == "kernel":
            shape = (shape[3], shape[2], shape[0], shape[1])
        shapes[prefix + torch_key(path)] = shape
        if path[-1] == "mean":
            counter = torch_key(path).removesuffix("running_mean") + "num_batches_tracked"
            shapes[prefix + counter] = ()
    _refuse(source, "has no entry", shapes.keys() - state_dict.keys())
    _refuse(source, "has entries that the network lacks:", state_dict.keys() - shapes.keys())
    for key, shape in shapes.items():
        found = np.shape(state_dict[key])
        if found != shape:
            raise UserError(
                f"{source}: {key} has shape {found}, expected {shape}; this is not a DeepLabV3-"
                "ResNet50 with one output channel"
            )
    flat = {}
    for path in places:
        value = np.asarray(state_dict[prefix + torch_key(path)], np.float32)
        flat[path] = value.transpose(2, 3, 1, 0) if path[-1] == "kernel" else value
    return traverse_util.unflatten_dict(flat)


def _refuse(source: str, complaint: str, keys: set[str]) -> None:
    """Raises a UserError that names `keys`, if there are any."""
    if not keys:
        return
    names = ", ".join(sorted(keys)[:_NAMES_IN_ERROR])
    more = f" and {len(keys) - _NAMES_IN_ERROR} more" if len(keys) > _NAMES_IN_ERROR else ""
    raise UserError(
        f"{source} {complaint} {names}{more}; expected the state dict of torchvision's "
        "deeplabv3_resnet50 without auxiliary head"
    )
