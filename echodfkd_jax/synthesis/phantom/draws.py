"""Random numbers, drawn in one go and handed out one after another.

XLA takes half a second to compile each draw from a key, and a clip needs hundreds: there are two
rows instead, of uniform and of normal numbers, from which everything about a scene is taken.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

_NUM_UNIFORM, _NUM_NORMAL = 1024, 4096


@functools.cache
def _enlarging(cells: int, size: int) -> np.ndarray:
    """Weights (size, cells) that enlarge a row of cells by cubic convolution (Keys, a = -0.5).

    Constants of the compiled program: `jax.image.resize` would compute them in it, for each field.
    """
    place = (np.arange(size) + 0.5) * cells / size - 0.5
    x = np.abs(place[:, None] - np.arange(cells)[None])
    near, far = (1.5 * x - 2.5) * x**2 + 1.0, ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    weight = np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)


class Draws:
    """Hands out the numbers of one key in the order of the calls. For use while tracing only."""

    def __init__(self, key: PRNGKeyArray):
        k_uniform, k_normal, self._key = jax.random.split(key, 3)
        self._uniform = jax.random.uniform(k_uniform, (_NUM_UNIFORM,))
        self._normal = jax.random.normal(k_normal, (_NUM_NORMAL,))
        self._used = {"uniform": 0, "normal": 0, "key": 0}

    def _take(self, row: Array, name: str, shape: tuple[int, ...]) -> Array:
        count = 1
        for size in shape:
            count *= size
        start = self._used[name]
        self._used[name] = start + count
        if start + count > row.size:
            raise ValueError(f"more than {row.size} {name} draws from one key")
        return row[start : start + count].reshape(shape)

    def key(self) -> PRNGKeyArray:
        """A fresh key, for arrays larger than a row."""
        self._used["key"] += 1
        return jax.random.fold_in(self._key, self._used["key"])

    def uniform(
        self, low: Array | float, high: Array | float, shape: tuple[int, ...] = ()
    ) -> Array:
        """Uniform float32 in [low, high)."""
        return low + (high - low) * self._take(self._uniform, "uniform", shape)

    def normal(
        self,
        mean: Array | float,
        std: Array | float,
        low: Array | float,
        high: Array | float,
        shape: tuple[int, ...] = (),
    ) -> Array:
        """Normal float32, clipped to [low, high]."""
        return jnp.clip(mean + std * self._take(self._normal, "normal", shape), low, high)

    def chance(self, probability: Array | float) -> Array:
        """True with the given probability."""
        return self.uniform(0.0, 1.0) < probability

    def smooth_curve(
        self, x: Float[Array, "*s"], waves: int, amplitude: Float[Array, ""] | float
    ) -> Float[Array, "*s"]:
        """A smooth random function of x in 0..1, standard deviation about `amplitude`.

        Args:
            x: positions, any shape.
            waves: number of half periods of the fastest of the cosines it is made of.
            amplitude: typical size of the result.
        """
        order = [float(i + 1) for i in range(waves)]
        phase = self.uniform(0.0, 6.2832, (waves,))
        size = self.normal(0.0, 1.0, -3.0, 3.0, (waves,))
        scale = amplitude * (2.0 / sum(1.0 / i for i in order)) ** 0.5
        terms = (size[i] / n**0.5 * jnp.cos(3.1416 * n * x + phase[i]) for i, n in enumerate(order))
        return scale * sum(terms)

    def smooth_field(
        self, height: int, width: int, cells: int, amplitude: Float[Array, ""] | float
    ) -> Float[Array, "h w"]:
        """A smooth random field: `cells` x `cells` normal values, enlarged bicubically."""
        coarse = self._take(self._normal, "normal", (cells, cells))
        down = jnp.dot(_enlarging(cells, height), coarse, precision="highest")
        return amplitude * jnp.dot(down, _enlarging(cells, width).T, precision="highest")

    def clusters(
        self, height: int, width: int, cells: int, count: int, amplitude: Float[Array, ""] | float
    ) -> Float[Array, "h w"]:
        """Patches of 1 to `count` kinds, each even, with borders between them.

        Args:
            height: of the field.
            width: of the field.
            cells: sets the patches' size: about a `cells`-th of the field.
            count: of kinds.
            amplitude: standard deviation of the kinds' values.
        """
        field = self.smooth_field(height, width, cells, 1.0)
        value = self.normal(0.0, 1.0, -2.5, 2.5, (count,))
        border = self.normal(0.0, 0.8, -2.0, 2.0, (count - 1,))
        total = jnp.full((height, width), value[0])
        for kind in range(1, count):
            share = jnp.clip(3.0 * (field - border[kind - 1]) + 0.5, 0.0, 1.0)
            total = total + (value[kind] - total) * share
        return amplitude * total
