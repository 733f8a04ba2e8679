"""What many tests need, made in the cheapest way."""

from typing import Any

import flax.linen as nn
import jax
import numpy as np


def random_weights(network: nn.Module, *inputs: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """A network's variables: normal numbers; scales and variances are 1.

    Drawn by numpy: a program of XLA that draws them takes half a second to compile for every array.
    Kernels have a deviation of 1 over the root of what they sum over, as flax would draw them.

    Args:
        network: any.
        inputs: an example of what it is called with; only shapes and types count.
        seed: of the numbers.
    """
    rng = np.random.default_rng(seed)

    def draw(path: Any, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        name = path[-1].key
        if name in ("scale", "var"):
            return np.ones(leaf.shape, leaf.dtype)
        summed = np.prod(leaf.shape[:-1]) if name == "kernel" else 100
        return (rng.standard_normal(leaf.shape) / np.sqrt(summed)).astype(leaf.dtype)

    shapes = jax.eval_shape(network.init, jax.random.key(0), *inputs)
    return jax.tree_util.tree_map_with_path(draw, dict(shapes))
