"""open_clip state dicts (ConvNeXt image tower, causal text tower) into Flax parameters.

The towers carry open_clip's names, so the conversion is a renaming that is checked both ways: every
entry of the file has its place, and every place its entry.
"""

import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from echodfkd_jax.echoclip.architecture import ECHOCLIP, Architecture
from echodfkd_jax.echoclip.image_tower import ImageTower
from echodfkd_jax.echoclip.text_tower import TextTower
from echodfkd_jax.errors import UserError

_NAMES_IN_ERROR = 5
_PARALLEL_PREFIX = "module."
_LEAVES = {"kernel": "weight", "scale": "weight", "embedding": "weight"}
_HEAD_WIDTH = 64  # every open_clip text tower has heads of this width


def params_from_open_clip(
    state_dict: Mapping[str, np.ndarray], architecture: Architecture = ECHOCLIP, *, source: str
) -> dict[str, Any]:
    """Parameters of both towers with the values of an open_clip state dict.

    Args:
        state_dict: arrays by key, with or without the `module.` prefix on every key.
        architecture: the sizes that are expected.
        source: the file's name, for errors.

    Returns:
        `{"image": ..., "text": ..., "logit_scale": float32 ()}`, float32; kernels in Flax's order.

    Raises:
        UserError: an entry is missing, left over, or of another shape.
    """
    state_dict = _without_prefix(state_dict)
    places: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(_template(architecture))
    keys = {torch_key(path): path for path in places}
    _refuse(source, "has no entry", keys.keys() - state_dict.keys())
    _refuse(source, "has entries that the model lacks:", state_dict.keys() - keys.keys())
    flat = {}
    for key, path in keys.items():
        value = np.asarray(state_dict[key], np.float32)
        expected = _torch_shape(path, places[path].shape)
        if value.shape != expected:
            raise UserError(
                f"{source}: {key} has shape {value.shape}, expected {expected}; give the weights "
                "that belong to the architecture"
            )
        flat[path] = np.ascontiguousarray(_to_flax(path, value))
    return traverse_util.unflatten_dict(flat)


def architecture_from_open_clip(
    state_dict: Mapping[str, np.ndarray], *, source: str, image_size_px: int = 224
) -> Architecture:
    """The sizes of the model that a state dict belongs to, read off the entries' shapes.

    Args:
        state_dict: arrays by key.
        source: the file's name, for errors.
        image_size_px: side of the images that the model was trained on; no weight tells it.

    Raises:
        UserError: the image tower is no ConvNeXt, or the text tower not open_clip's own.
    """
    state_dict = _without_prefix(state_dict)
    try:
        num_stages = _count(r"visual\.trunk\.stages\.(\d+)\.", state_dict)
        stages = range(num_stages)
        last_norm = "visual.trunk.stages.{}.blocks.0.norm.weight"
        text_width = state_dict["ln_final.weight"].shape[0]
        if not text_width or text_width % _HEAD_WIDTH:
            raise ValueError(f"a text tower of width {text_width}, not of heads of {_HEAD_WIDTH}")
        return Architecture(
            image_size_px=image_size_px,
            depths=tuple(
                _count(rf"visual\.trunk\.stages\.{stage}\.blocks\.(\d+)\.", state_dict)
                for stage in stages
            ),
            widths=tuple(state_dict[last_norm.format(stage)].shape[0] for stage in stages),
            embedding=state_dict["text_projection"].shape[1],
            context_length=state_dict["positional_embedding"].shape[0],
            vocabulary=state_dict["token_embedding.weight"].shape[0],
            text_width=text_width,
            text_heads=text_width // _HEAD_WIDTH,
            text_layers=_count(r"transformer\.resblocks\.(\d+)\.", state_dict),
        )
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(
            f"{source}: no open_clip model with a ConvNeXt image tower and a CLIP text tower "
            f"(looked for {error}); wrap another model in a Python class that embeds images and "
            "texts"
        ) from error


def torch_key(path: tuple[str, ...]) -> str:
    """The state-dict key of one parameter.

    Example:
        `("image", "stages_2", "blocks_11", "mlp_fc1", "kernel")` gives
        `"visual.trunk.stages.2.blocks.11.mlp.fc1.weight"`.
    """
    leaf = path[-1]
    if len(path) < 3:  # the text tower's own parameters and the logit scale
        return leaf
    tower, *modules, _ = path
    name = re.sub(r"(stem|stages|blocks|downsample)_(\d+)", r"\1.\2", ".".join(modules))
    name = re.sub(r"(mlp|attn)_", r"\1.", name)
    if name == "head_proj":
        return "visual.head.proj.weight"
    if tower == "image":
        name = f"visual.trunk.{name.replace('head_norm', 'head.norm')}"
    elif name.startswith("resblocks"):
        name = f"transformer.{name}"
    leaf = _LEAVES.get(leaf, leaf)
    # PyTorch keeps the three input projections of attention as plain parameters.
    return f"{name}_{leaf}" if name.endswith("in_proj") else f"{name}.{leaf}"


def _template(architecture: Architecture) -> dict[str, Any]:
    """Shapes of all parameters; nothing is computed."""
    size = architecture.image_size_px
    image = jax.eval_shape(
        ImageTower(architecture).init, jax.random.key(0), jnp.zeros((1, size, size, 3))
    )
    text = jax.eval_shape(
        TextTower(architecture).init,
        jax.random.key(0),
        jnp.zeros((1, architecture.context_length), jnp.int32),
    )
    scale = jax.ShapeDtypeStruct((), jnp.float32)
    return {"image": image["params"], "text": text["params"], "logit_scale": scale}


def _torch_shape(path: tuple[str, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    if path[-1] != "kernel":
        return tuple(shape)
    return (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else tuple(reversed(shape))


def _to_flax(path: tuple[str, ...], value: np.ndarray) -> np.ndarray:
    if path[-1] != "kernel":
        return value
    return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T


def _without_prefix(state_dict: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The entries without the prefix that training under DistributedDataParallel leaves."""
    parallel = all(key.startswith(_PARALLEL_PREFIX) for key in state_dict)
    start = len(_PARALLEL_PREFIX) if parallel else 0
    return {key[start:]: value for key, value in state_dict.items()}


def _count(pattern: str, keys: Mapping[str, np.ndarray]) -> int:
    """How many numbers, 0, 1, 2, ..., the pattern's group takes in the keys.

    Raises:
        KeyError: a number is left out.
    """
    numbers = {int(match[1]) for key in keys if (match := re.match(pattern, key))}
    missing = set(range(len(numbers))) - numbers
    if missing:
        raise KeyError(f"number {min(missing)} of {pattern}")
    return len(numbers)


def _refuse(source: str, complaint: str, keys: set[str]) -> None:
    if not keys:
        return
    names = ", ".join(sorted(keys)[:_NAMES_IN_ERROR])
    more = f" and {len(keys) - _NAMES_IN_ERROR} more" if len(keys) > _NAMES_IN_ERROR else ""
    raise UserError(
        f"{source} {complaint} {names}{more}; expected the state dict of an open_clip model of the "
        "given architecture"
    )
