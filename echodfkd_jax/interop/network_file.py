"""A network from a weights file that says itself which network it is."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.safetensors import check_tree, load_variables

# Any size that every model takes would do, the weights do not depend on it; nothing is computed.
_SIDE = 1024


class Network(NamedTuple):
    """A network with its weights.

    Attributes:
        model: takes video float32 (b, t, h, w, 1) in 0..255 and gives logits of its shape.
        variables: its collections, `params` and where it has them `batch_stats`.
    """

    model: nn.Module
    variables: Mapping[str, Any]


def load_network(path: str | Path, build: Callable[..., nn.Module]) -> Network:
    """Loads a safetensors file whose metadata `model` is JSON of a name and fields.

    Args:
        path: written by `save_variables`.
        build: makes the model of `name` and the other fields; refuses what it does not know with
            one of Python's own exceptions or a UserError.

    Raises:
        UserError: the file is missing or damaged, does not say which network it is, or holds other
            weights than that network has.
    """
    variables, metadata = load_variables(path)
    try:
        model = build(**json.loads(metadata["model"]))
    except (KeyError, ValueError, TypeError, UserError, RecursionError) as error:
        reason = "no metadata `model`" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{path}: the header does not describe a network that is wanted here ({reason}); "
            "expected a file written by --stage=export"
        ) from error
    return Network(model, check_variables(path, model, variables))


def check_variables(
    path: str | Path, model: nn.Module, variables: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Returns the variables if they are exactly the model's.

    Args:
        path: where they come from; named in the message.
        model: any that takes video (b, t, h, w, 1).
        variables: nested dicts of arrays.

    Raises:
        UserError: names the first entry that is missing, extra, or has another shape or type.
    """
    video = jax.ShapeDtypeStruct((1, 1, _SIDE, _SIDE, 1), jnp.float32)
    check_tree(path, variables, jax.eval_shape(model.init, jax.random.key(0), video))
    return variables
