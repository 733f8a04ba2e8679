"""Reads the recorded numbers of the published generators on made-up inputs and weights."""

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from echodfkd_jax.interop.torch_modules import variables_from_torch
from tests.testdata.generative_recipe import made_up_value, small_activations_factor

TESTDATA = Path(__file__).parents[2] / "testdata" / "generative"
# A network's outputs, float32 against PyTorch's; arrays that are stored as float16.
ATOL, ATOL_HALF = 1e-4, 2e-3


def arrays(name: str) -> dict[str, Array]:
    """The arrays of a file, as float32 where they are floating-point numbers."""
    with np.load(TESTDATA / f"{name}.npz") as file:
        both = {key: jnp.asarray(file[key]) for key in file}
    return {key: x.astype(jnp.float32) if x.dtype == jnp.float16 else x for key, x in both.items()}


def channels_last(x: Array) -> Array:
    """From PyTorch's order of axes."""
    return jnp.moveaxis(x, -3, -1)


def channels_first(x: Array) -> Array:
    """To PyTorch's order of axes."""
    return jnp.moveaxis(x, -1, -3)


def normal(seed: int, *shape: int) -> Array:
    """Normal numbers."""
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


@functools.cache
def shapes(file: str) -> dict[str, tuple[int, ...]]:
    """The shape of every entry of a network's state dict, in PyTorch's order."""
    entries = json.loads((TESTDATA / f"{file}_state_dict.json").read_text())
    return {key: tuple(shape) for key, shape in entries.items()}


def state_dict(network: str, file: str, *, small: bool = False) -> dict[str, np.ndarray]:
    """Made-up weights; `small`: with activations that show every normalisation's epsilon."""
    state = {key: made_up_value(network, key, shape) for key, shape in shapes(file).items()}
    if small:
        return {
            key: value * np.float32(small_activations_factor(key)) for key, value in state.items()
        }
    return state


def check_recipe(network: str, file: str) -> None:
    """Compares the made-up weights with the recorded hash of all of them."""
    record = json.loads((TESTDATA / "weights_check.json").read_text())[network]
    digest, count = hashlib.sha256(), 0
    for key, shape in shapes(file).items():
        value = made_up_value(network, key, shape)
        if value.dtype == np.float32:
            digest.update(value.tobytes())
            count += value.size
    assert len(shapes(file)) == record["tensors"]
    assert count == record["float_entries"]
    assert digest.hexdigest() == record["sha256_of_float32_bytes_in_state_dict_order"]


def template(network: nn.Module, *inputs: Any) -> Mapping[str, Any]:
    """Shapes of a network's variables; computes nothing."""
    return dict(jax.eval_shape(network.init, jax.random.key(0), *inputs))


def num_weights(variables: Any) -> int:
    """How many numbers the parameters are, without running statistics."""
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def variables(
    network: nn.Module, name: str, file: str, *inputs: Any, small: bool = False
) -> dict[str, Any]:
    """A network's variables with the made-up weights."""
    state = state_dict(name, file, small=small)
    return variables_from_torch(
        state, template(network, *inputs), source=file, network=f"the golden {name}"
    )
