"""The student's variables from and to the published PyTorch state dict; plain numpy, no PyTorch.

PyTorch's keys, with k blocks counted from the finest and n layers per block:

- `conv_lstm_blocks.{block}.conv_lstm_layers.{2*layer}.cell.conv.{weight,bias}`: the ConvLSTM;
- `conv_lstm_blocks.{block}.conv_lstm_layers.{2*layer+1}.layer.*`: its normalisation;
- `conv_lstm_upsampling.{step}.conv_lstm_layers.{1,2}.layer.*`: the decoder's convolution and
  normalisation, steps counted from the coarsest;
- `output_layer.layer.{weight,bias}`: the head.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from echodfkd_jax.errors import UserError

_PREFIX = "model."
_NORM = {
    "weight": "params/{}/scale",
    "bias": "params/{}/bias",
    "running_mean": "batch_stats/{}/mean",
    "running_var": "batch_stats/{}/var",
}
_COUNTER = "num_batches_tracked"
_CELL_BIAS = re.compile(
    r"conv_lstm_blocks\.(\d{1,3})\.conv_lstm_layers\.(\d{1,3})\.cell\.conv\.bias"
)


def size_of(state_dict: Mapping[str, np.ndarray]) -> dict[str, int]:
    """The fields `blocks`, `layers` and `filters` of the student that a state dict is of.

    Args:
        state_dict: arrays by key, with or without the prefix `model.`; only what tells the size is
            looked at, `from_torch` checks the rest.

    Raises:
        UserError: it is not of a published student.
    """
    cells = {}
    for key, value in state_dict.items():
        found = _CELL_BIAS.fullmatch(key.removeprefix(_PREFIX))
        if found:
            cells[int(found[1]), int(found[2]) // 2] = np.shape(value)
    if len(cells.get((0, 0), ())) != 1:
        raise UserError(
            "PyTorch state dict: conv_lstm_blocks.0.conv_lstm_layers.0.cell.conv.bias is missing; "
            "expected a student of the published code"
        )
    blocks, layers = (1 + max(index) for index in zip(*cells))
    if len(cells) != blocks * layers:
        raise UserError(
            f"PyTorch state dict: {len(cells)} ConvLSTM layers, numbered as if they were "
            f"{blocks * layers}; expected a student of the published code"
        )
    return {"blocks": blocks, "layers": layers, "filters": cells[0, 0][0] // 4}


def from_torch(
    state_dict: Mapping[str, np.ndarray], *, blocks: int, layers: int, filters: int = 12
) -> dict[str, Any]:
    """Converts a PyTorch state dict into the variables of `ConvLSTMUNet`.

    Args:
        state_dict: arrays by key, with or without the prefix `model.` of a Lightning checkpoint.
        blocks: k of the student.
        layers: n of the student.
        filters: channels of the first block.

    Returns:
        Nested dicts `params` and `batch_stats` of float32 arrays.

    Raises:
        UserError: an entry is missing, extra or of another shape than this student has.
    """
    state = {key.removeprefix(_PREFIX): np.asarray(value) for key, value in state_dict.items()}
    shapes = dict(_torch_shapes(blocks, layers, filters))
    student = f"a student with blocks={blocks}, layers={layers}, filters={filters}"
    for key in sorted(state.keys() | shapes.keys()):
        if key not in state:
            raise UserError(f"PyTorch state dict: {key} is missing for {student}")
        if key not in shapes:
            raise UserError(f"PyTorch state dict: {key} is not part of {student}")
        if state[key].shape != shapes[key]:
            raise UserError(
                f"PyTorch state dict: {key} has shape {state[key].shape}, but {student} needs "
                f"{shapes[key]}"
            )
    flat = {}
    for torch_module, flax_module, kind in _modules(blocks, layers):
        if kind == "norm":
            for entry, path in _NORM.items():
                flat[path.format(flax_module)] = state[f"{torch_module}.{entry}"]
            continue
        kernel = state[f"{torch_module}.weight"].transpose(2, 3, 1, 0)
        flat[f"params/{flax_module}/bias"] = state[f"{torch_module}.bias"]
        flat[f"params/{flax_module}/kernel"] = kernel[0, 0] if kind == "head" else kernel
    flat = {path: np.ascontiguousarray(value, np.float32) for path, value in flat.items()}
    return traverse_util.unflatten_dict(flat, sep="/")


def to_torch(
    variables: Mapping[str, Any], *, blocks: int, layers: int, prefix: str = _PREFIX
) -> dict[str, np.ndarray]:
    """Converts variables of `ConvLSTMUNet` into a PyTorch state dict; inverse of `from_torch`.

    Args:
        variables: nested dicts `params` and `batch_stats`.
        blocks: k of the student.
        layers: n of the student.
        prefix: put before every key; `model.` is that of the published Lightning checkpoints.

    Returns:
        float32 arrays by key; the counters `num_batches_tracked`, which nothing reads at this
        momentum, are int64 zeros.

    Raises:
        UserError: an entry is missing or extra.
    """
    flat = traverse_util.flatten_dict(dict(variables), sep="/")
    left = {path: np.asarray(value, np.float32) for path, value in flat.items()}

    def take(path: str) -> np.ndarray:
        if path not in left:
            raise UserError(f"student variables: {path} is missing for k={blocks}, n={layers}")
        return left.pop(path)

    state = {}
    for torch_module, flax_module, kind in _modules(blocks, layers):
        if kind == "norm":
            for entry, path in _NORM.items():
                state[f"{torch_module}.{entry}"] = take(path.format(flax_module))
            state[f"{torch_module}.{_COUNTER}"] = np.zeros((), np.int64)
            continue
        kernel = take(f"params/{flax_module}/kernel")
        kernel = kernel[None, None] if kind == "head" else kernel
        state[f"{torch_module}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        state[f"{torch_module}.bias"] = take(f"params/{flax_module}/bias")
    if left:
        raise UserError(f"student variables: {min(left)} is extra for k={blocks}, n={layers}")
    return {prefix + key: value for key, value in state.items()}


def _modules(blocks: int, layers: int) -> Iterator[tuple[str, str, str]]:
    """Yields (PyTorch module, flax module, kind) for every module with weights."""
    for block in range(blocks):
        for layer in range(layers):
            stem = f"conv_lstm_blocks.{block}.conv_lstm_layers"
            yield f"{stem}.{2 * layer}.cell.conv", f"cell_{block}_{layer}", "cell"
            yield f"{stem}.{2 * layer + 1}.layer", f"cell_norm_{block}_{layer}", "norm"
    for step, block in enumerate(reversed(range(blocks - 1))):
        stem = f"conv_lstm_upsampling.{step}.conv_lstm_layers"
        yield f"{stem}.1.layer", f"decoder_{block}", "convolution"
        yield f"{stem}.2.layer", f"decoder_norm_{block}", "norm"
    yield "output_layer.layer", "head", "head"


def _torch_shapes(blocks: int, layers: int, filters: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yields the shape of every entry of the PyTorch state dict."""
    channels = 1
    width = filters
    for torch_module, flax_module, kind in _modules(blocks, layers):
        if kind == "norm":
            for entry in _NORM:
                yield f"{torch_module}.{entry}", (width,)
            yield f"{torch_module}.{_COUNTER}", ()
            channels = width
            continue
        if kind == "cell":
            width = filters * 2 ** int(flax_module.split("_")[1])
            shape = (4 * width, channels + width, 3, 3)
        elif kind == "convolution":
            width = filters * 2 ** int(flax_module.split("_")[1])
            shape = (width, channels, 3, 3)
        else:
            shape = (1, channels, 1, 1)
        yield f"{torch_module}.weight", shape
        yield f"{torch_module}.bias", shape[:1]
