"""Generated clips: frames a second, and their share of a training step.

python -m benchmarks.generator
"""

import argparse
import functools

import jax
import jax.numpy as jnp
import optax

from benchmarks import students, timing
from echodfkd_jax.synthesis import make_clip
from echodfkd_jax.teachers import load_teacher
from echodfkd_jax.training.state import TrainState
from echodfkd_jax.training.step import train_step

BATCH, FRAMES, WINDOW = 4, 64, 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    rows = [_frames_per_second(options.repetitions), _share_of_a_step(options.repetitions)]
    timing.emit("generator", rows)


def _frames_per_second(repetitions: int) -> dict:
    keys = jax.random.split(jax.random.key(0), BATCH)
    make = jax.jit(jax.vmap(lambda key: make_clip(key, num_frames=FRAMES)))
    times = timing.alternate({"make": lambda: make(keys)}, repetitions=repetitions)
    return {
        "case": f"{BATCH} clips of {FRAMES} frames of 112x112",
        "times": times,
        "frames_per_s": BATCH * FRAMES / times["make"]["median_s"],
        **timing.cost(make, keys),
    }


def _share_of_a_step(repetitions: int) -> dict:
    """The default student on endless clips with the teacher's masks made in the same step."""
    model, variables = students.ours(
        3, 1, subsampling=2, normalise=True, skips=True, burn_in_frames=3
    )
    optimizer = optax.adam(1e-3)
    params = variables["params"]
    state = TrainState(
        jnp.zeros((), jnp.int32), params, variables["batch_stats"], optimizer.init(params)
    )
    teacher = load_teacher("unet").apply_fn

    def make(keys: jax.Array) -> dict[str, jax.Array]:
        frames = jax.vmap(lambda key: make_clip(key, num_frames=WINDOW).frames)(keys)
        return {"video": frames[..., None]}

    def label(batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        prob = jax.vmap(teacher)(batch["video"][..., 0].astype(jnp.float32))
        return {**batch, "target": jnp.round(255 * prob).astype(jnp.uint8)}

    learn = functools.partial(train_step, model=model, optimizer=optimizer, axis_name=None)
    keys = jax.random.split(jax.random.key(0), BATCH)
    make_jit, label_jit = jax.jit(make), jax.jit(label)
    clips = make_jit(keys)
    labelled = label_jit(clips)
    learn_jit = jax.jit(lambda state, batch: learn(state, batch, expand=lambda b: b))
    whole = jax.jit(
        lambda state, batch: learn(state, batch, expand=lambda b: label(make(b["keys"])))
    )
    times = timing.alternate(
        {
            "generate": lambda: make_jit(keys),
            "label": lambda: label_jit(clips),
            "learn": lambda: learn_jit(state, labelled),
            "whole step": lambda: whole(state, {"keys": keys}),
        },
        repetitions=repetitions,
    )
    return {
        "case": f"one step on endless clips, batch {BATCH}, {WINDOW} frames",
        "times": times,
        "share_of_generation": times["generate"]["median_s"] / times["whole step"]["median_s"],
    }


if __name__ == "__main__":
    main()
