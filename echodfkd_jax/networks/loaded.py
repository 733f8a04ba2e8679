"""A network with its weights, from a file that says itself which network it is."""

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE, Structures
from echodfkd_jax.networks.safetensors import check_tree, load_variables

# Any size that every model takes would do, the weights do not depend on it; nothing is computed.
_SIDE = 1024
# Larger numbers in a header are damage, and would be built before anything is compared.
_MAX_FIELD = 4096


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedNetwork:
    """A network with its weights.

    Attributes:
        model: takes video float32 (b, t, h, w, 1) in 0..255 and gives logits
            (b, t, h, w, s).
        variables: its collections, `params` and where it has them `batch_stats`.
        source: where the weights are from, for people.
        step: of its training; None where that is not known.
    """

    model: nn.Module
    variables: Mapping[str, Any]
    source: str = ""
    step: int | None = None

    @functools.cached_property
    def fingerprint(self) -> str:
        """`student-<12 hex>`, of all weights."""
        return weights_fingerprint("student", self.variables)

    @property
    def structures(self) -> Structures:
        """What it outlines."""
        return structures_of(self.model)

    @property
    def metadata(self) -> dict[str, str]:
        """What files made with this network say about it."""
        return {"source": self.source, "fingerprint": self.fingerprint}


def structures_of(model: nn.Module) -> Structures:
    """What a network outlines: the left ventricle alone unless it says more."""
    return tuple(getattr(model, "structures", LV_ALONE))


def load_network(path: str | Path, build: Callable[..., nn.Module]) -> LoadedNetwork:
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
        fields = json.loads(metadata["model"])
        _check_fields(fields, len(traverse_util.flatten_dict(variables)))
        model = build(**fields)
        _shapes(model)
    except jax.errors.JaxRuntimeError:
        raise  # Of the device, not of the file.
    except Exception as error:  # Fields from outside fail in as many ways as a model has lines.
        reason = "no metadata `model`" if "model" not in metadata else str(error)[:200]
        raise UserError(
            f"{path}: the header does not describe a network that is wanted here ({reason}); "
            "expected a file written by --stage=export"
        ) from error
    return LoadedNetwork(model, check_variables(path, model, variables), str(path))


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
    check_tree(path, variables, _shapes(model))
    return variables


def _shapes(model: nn.Module) -> Mapping[str, Any]:
    # The key within: a device is not needed to know shapes.
    return jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 1, _SIDE, _SIDE, 1))))


def _check_fields(fields: Mapping[str, Any], num_arrays: int) -> None:
    """Refuses a network that is larger than the file can be, before it is built."""
    for field, value in fields.items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, int | float) and not abs(number) <= _MAX_FIELD:
                raise ValueError(f"{field} is {value}; expected at most {_MAX_FIELD}")
    layers = math.prod(fields.get(field, 1) for field in ("blocks", "layers"))
    if layers > num_arrays:
        raise ValueError(f"{layers} layers, but {num_arrays} arrays")


def weights_fingerprint(name: str, variables: Mapping[str, Any]) -> str:
    """`<name>-<12 hex>`: hash over the names, shapes, types and values of all weights."""
    digest = hashlib.sha256()
    flat = traverse_util.flatten_dict(dict(variables), sep="/")
    for path in sorted(flat):
        value = np.ascontiguousarray(flat[path])
        digest.update(f"{path} {value.dtype.str} {value.shape};".encode())
        digest.update(value.tobytes())
    return f"{name}-{digest.hexdigest()[:12]}"
