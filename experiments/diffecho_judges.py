"""What pictures are good for: networks that learn from them, scored on other patients' pictures.

Two questions, DiffEcho's: to outline the left ventricle, its myocardium and the left atrium, and to
tell ED from ES. A network learns from real pictures, from generated ones, or from batches that are
half of either, always for the same number of steps and with the same small deformations. Nothing is
chosen on the pictures that it is scored on. `experiments/diffecho.py` is the command.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy import stats

from echodfkd_jax.networks.layers import (
    BatchNorm,
    Conv3x3,
    average_pool,
    max_pool_2x2,
    standardise,
)
from echodfkd_jax.networks.unet import UNet
from echodfkd_jax.teachers import student_teacher
from echodfkd_jax.training.losses import cross_entropy_and_dice
from experiments import camus_stills
from experiments import labelled_pictures as labelled
from experiments.camus_stills import PHASES, Stills
from experiments.labelled_pictures import STRUCTURES, Pictures

SETS = ("real", "generated", "both")
LEARNING_RATE = 4e-3
# Both networks work on means of 2 x 2 pixels.
SUBSAMPLING = 2
# Pictures that are classified at once.
AT_ONCE = 50


class PhaseNet(nn.Module):
    """Convolutions, each followed by max pooling, and a linear layer on the mean: ED or ES.

    Attributes:
        channels: of each convolution.
    """

    channels: tuple[int, ...]

    @nn.compact
    def __call__(self, frames: jax.Array, *, train: bool = False) -> jax.Array:
        """Grey values 0..255 (b, h, w, 1) to logits of ES (b)."""
        x = standardise(average_pool(frames, SUBSAMPLING))
        for level, features in enumerate(self.channels):
            x = Conv3x3(features, name=f"conv_{level}")(max_pool_2x2(x) if level else x)
            x = nn.relu(BatchNorm(name=f"norm_{level}")(x, train=train))
        return nn.Dense(1, name="head")(jnp.mean(x, axis=(1, 2)))[:, 0]


class Question(NamedTuple):
    """What is learnt.

    Attributes:
        name: of it.
        model: a network.
        shape: a picture's, as the network wants it: (h, w) to the axes around it.
        loss: of what the network gives and the batch.
        score: (variables, stills) -> numbers by name.
    """

    name: str
    model: nn.Module
    shape: Callable[[jax.Array], jax.Array]
    loss: Callable[[jax.Array, Pictures], jax.Array]
    score: Callable[[Any, Stills], dict[str, float]]


def outlining(channels: tuple[int, ...]) -> Question:
    """The project's U-Net that sees each picture by itself; scored by Dice."""
    model = UNet(channels=channels, subsampling=SUBSAMPLING, structures=STRUCTURES)

    def loss(logits: jax.Array, rows: Pictures) -> jax.Array:
        wanted = rows.labels[:, None, :, :, None] == jnp.arange(1, 1 + len(STRUCTURES))
        return jnp.mean(cross_entropy_and_dice(logits, jnp.uint8(255) * wanted))

    def score(variables: Any, stills: Stills) -> dict[str, float]:
        outlined = camus_stills.outline(
            student_teacher.from_variables(model, variables), stills.frames
        )
        found = camus_stills.score(stills, outlined)
        places = [f"{name}/{phase}" for name in STRUCTURES for phase in PHASES]
        return {place: found[place]["dice"]["mean"] for place in places}

    return Question("segmentation", model, lambda frames: frames[:, None, :, :, None], loss, score)


def telling_phases(channels: tuple[int, ...]) -> Question:
    """Whether a picture shows ED or ES; scored by accuracy and area under the ROC curve."""
    model = PhaseNet(channels)

    def loss(logits: jax.Array, rows: Pictures) -> jax.Array:
        wanted = rows.phase.astype(jnp.float32)
        return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, wanted))

    apply = jax.jit(model.apply)

    def score(variables: Any, stills: Stills) -> dict[str, float]:
        frames = stills.frames[..., None].astype(np.float32)
        parts = [frames[first : first + AT_ONCE] for first in range(0, len(frames), AT_ONCE)]
        logits = np.concatenate([np.asarray(apply(variables, part)) for part in parts])
        systole = stills.phase == PHASES[1]
        return {
            "accuracy": float(np.mean((logits > 0) == systole)),
            "auc": area_under_curve(logits, systole),
        }

    return Question("phase", model, lambda frames: frames[..., None], loss, score)


def area_under_curve(values: np.ndarray, positive: np.ndarray) -> float:
    """How often a positive one has the higher value than a negative one; ties count one half.

    Args:
        values: (n).
        positive: bool (n).

    Returns:
        nan where all are positive, or none is.
    """
    more, less = int(positive.sum()), int((~positive).sum())
    if not more or not less:
        return float("nan")
    above = stats.rankdata(values)[positive].sum() - more * (more + 1) / 2
    return float(above / (more * less))


class Judge:
    """Trains networks for one question; its program is compiled once for all sets and seeds."""

    def __init__(self, question: Question, *, steps: int, batch: int) -> None:
        self._question, self._steps, self._batch = question, steps, batch
        warm = max(steps // 10, 1)
        rate = optax.warmup_cosine_decay_schedule(0.0, LEARNING_RATE, warm, max(steps, warm + 1))
        self._optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
        self._advance = labelled.advance_with(self._step)

    def train(self, pictures: Mapping[str, Pictures], which: str, seed: int) -> Any:
        """Variables of a network.

        Args:
            pictures: "real" and "generated".
            which: one of `SETS`.
            seed: of the first weights and of all that is drawn.
        """
        key = jax.random.key(seed)
        real, generated = (len(pictures[one].frames) for one in ("real", "generated"))
        first, after = rows_from(real, generated, self._batch)[which]
        every = labelled.joined(pictures["real"], pictures["generated"])
        one = self._question.shape(jnp.zeros((1, *every.frames.shape[1:])))
        shape = jax.ShapeDtypeStruct(one.shape, jnp.float32)
        variables = self._question.model.lazy_init(key, shape)
        params = variables["params"]
        state = (params, variables["batch_stats"], self._optimizer.init(params))
        data = (every, first, after, jax.random.fold_in(key, 1))
        label = f"{self._question.name}, {which}, seed {seed}"
        state = labelled.run(self._advance, state, data, self._steps, label)
        return jax.device_get({"params": state[0], "batch_stats": state[1]})

    def score(self, variables: Any, stills: Stills) -> dict[str, float]:
        """Numbers of a network on pictures."""
        return self._question.score(variables, stills)

    def _step(self, state: Any, number: jax.Array, data: Any) -> tuple[Any, jax.Array]:
        params, statistics, memory = state
        every, first, after, key = data
        row_key = jax.random.fold_in(key, number)
        rows = labelled.drawn_rows(row_key, every, first, after, self._batch)

        def loss(params: Any) -> tuple[jax.Array, Any]:
            variables = {"params": params, "batch_stats": statistics}
            seen = self._question.shape(rows.frames)
            found, new = self._question.model.apply(
                variables, seen, train=True, mutable=["batch_stats"]
            )
            return self._question.loss(found, rows), new["batch_stats"]

        (value, statistics), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        updates, memory = self._optimizer.update(gradient, memory, params)
        return (optax.apply_updates(params, updates), statistics, memory), value


def rows_from(real: int, generated: int, batch: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By set, from where to where among real and then generated pictures each row of a batch is.

    Args:
        real: how many there are.
        generated: likewise.
        batch: rows.
    """
    from_real = {
        "real": np.ones(batch, bool),
        "generated": np.zeros(batch, bool),
        "both": np.arange(batch) < batch // 2,
    }
    return {
        which: (np.where(rows, 0, real), np.where(rows, real, real + generated))
        for which, rows in from_real.items()
    }
