"""Pictures with maps of structures on the device, small deformations of both, and steps on them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from jax.scipy import ndimage

from experiments.camus_stills import PHASES, Stills

# The labels 1 to 3 of a map; 0 is everything else.
STRUCTURES = ("lv", "lv_myocardium", "la")
NUM_LABELS = 1 + len(STRUCTURES)
# Of a deformation: largest turn (radians) and logarithm of the scale, largest shift and standard
# deviation of the bending (both of a side), and the bending's control points along a side.
MOST_TURN, MOST_SCALE, MOST_SHIFT = 0.14, 0.08, 0.05
BEND, BEND_POINTS = 0.012, 4
# Steps that are taken between two looks at the loss.
LOOK_EVERY = 20

State = Any
# (state, number of the step, data) -> (state, loss).
Step = Callable[[State, jax.Array, Any], tuple[State, jax.Array]]
# (state, data, first step, step after the last) -> (state, mean loss).
Advance = Callable[[State, Any, int, int], tuple[State, jax.Array]]


class Pictures(NamedTuple):
    """What is learnt from.

    Attributes:
        frames: uint8 (n, h, w).
        labels: uint8 (n, h, w), 0 or one more than the place in `STRUCTURES`.
        phase: int32 (n), the place in `PHASES`.
    """

    frames: jax.Array
    labels: jax.Array
    phase: jax.Array


def of_stills(stills: Stills) -> Pictures:
    """Stills that have all structures; where two masks overlap, the earlier structure counts."""
    labels = np.zeros(stills.frames.shape, np.uint8)
    for number, name in reversed(list(enumerate(STRUCTURES, 1))):
        labels[stills.masks[name]] = number
    phase = np.array([PHASES.index(one) for one in stills.phase.tolist()], np.int32)
    return Pictures(jnp.asarray(stills.frames), jnp.asarray(labels), jnp.asarray(phase))


def joined(first: Pictures, second: Pictures) -> Pictures:
    """Both, one after the other."""
    return Pictures(*(jnp.concatenate(both) for both in zip(first, second)))


def deformed(key: jax.Array, frame: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A picture and its map turned, scaled, shifted and bent a little, alike; never mirrored.

    Args:
        key: of what is drawn.
        frame: (h, w), 0..255; what comes in from outside is black.
        labels: uint8 (h, w); what comes in has label 0.

    Returns:
        The picture as float32, the map as uint8.
    """
    height, width = frame.shape
    sides = jnp.array([height, width], jnp.float32)
    turn_key, scale_key, shift_key, bend_key = jax.random.split(key, 4)
    turn = jax.random.uniform(turn_key, minval=-MOST_TURN, maxval=MOST_TURN)
    scale = jnp.exp(jax.random.uniform(scale_key, minval=-MOST_SCALE, maxval=MOST_SCALE))
    shift = jax.random.uniform(shift_key, (2,), minval=-MOST_SHIFT, maxval=MOST_SHIFT)
    points = BEND * jax.random.normal(bend_key, (2, BEND_POINTS, BEND_POINTS))
    bend = jax.image.resize(points, (2, height, width), "cubic") * sides[:, None, None]
    middle = (sides - 1) / 2
    place = jnp.stack(jnp.mgrid[:height, :width]) - middle[:, None, None]
    matrix = scale * jnp.array([[jnp.cos(turn), -jnp.sin(turn)], [jnp.sin(turn), jnp.cos(turn)]])
    seen = jnp.einsum("ab,bhw->ahw", matrix, place) + bend
    seen = list(seen + (middle + shift * sides)[:, None, None])
    grey = ndimage.map_coordinates(frame.astype(jnp.float32), seen, order=1)
    drawn = ndimage.map_coordinates(labels.astype(jnp.float32), seen, order=0)
    return grey, jnp.round(drawn).astype(jnp.uint8)


def drawn_rows(key: jax.Array, pictures: Pictures, first: Any, after: Any, rows: int) -> Pictures:
    """A batch, every picture of it deformed.

    Args:
        key: of what is drawn.
        pictures: all there are.
        first: number of the first picture that a row may be; one number, or one per row.
        after: number after the last one, likewise.
        rows: pictures in the batch.
    """
    pick_key, deform_key = jax.random.split(key)
    index = jax.random.randint(pick_key, (rows,), first, after)
    keys = jax.random.split(deform_key, rows)
    frames, labels = jax.vmap(deformed)(keys, pictures.frames[index], pictures.labels[index])
    return Pictures(frames, labels, pictures.phase[index])


def advance_with(step: Step) -> Advance:
    """Many steps as one program on the device; it is compiled once, however many they are."""

    def advance(state: State, data: Any, first: int, after: int) -> tuple[State, jax.Array]:
        def one(number: jax.Array, carried: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
            state, loss = step(carried[0], number, data)
            return state, carried[1] + loss

        state, total = jax.lax.fori_loop(first, after, one, (state, jnp.zeros(())))
        return state, total / (after - first)

    return jax.jit(advance, donate_argnums=0)


def run(advance: Advance, state: State, data: Any, num_steps: int, label: str) -> State:
    """Takes all steps, with a bar that shows the loss.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    with tqdm.tqdm(total=num_steps, desc=label, unit="step", mininterval=5.0) as bar:
        for first in range(0, num_steps, LOOK_EVERY):
            after = min(first + LOOK_EVERY, num_steps)
            state, loss = advance(state, data, first, after)
            if not np.isfinite(float(loss)):
                raise FloatingPointError(f"{label}: the loss is not finite at step {after}")
            bar.set_postfix_str(f"loss {float(loss):.4f}", refresh=False)
            bar.update(after - first)
    return state
