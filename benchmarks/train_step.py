"""One training step of the student: `python -m benchmarks.train_step [--versus torch]`."""

import argparse
import functools

import jax
import jax.numpy as jnp
import optax

from benchmarks import students, timing
from echodfkd_jax.training.state import TrainState
from echodfkd_jax.training.step import train_step

BATCH, FRAMES, SIDE = 4, 25, 56


def measure(blocks: int, layers: int, versus: str, repetitions: int, batch: int = BATCH) -> dict:
    model, variables = students.ours(blocks, layers)
    optimizer = optax.adam(1e-3)
    state = TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=optimizer.init(variables["params"]),
    )
    frames = students.clips(batch, FRAMES, SIDE)[..., None]
    data = jax.device_put({"video": frames, "target": 255 * (frames > 127)})
    step = jax.jit(
        functools.partial(
            train_step, model=model, optimizer=optimizer, expand=lambda b: b, axis_name=None
        )
    )
    functions = {"ours": lambda: step(state, data)}
    if versus == "torch":
        functions["torch"] = _torch_step(model, variables, blocks, layers, frames)
    times = timing.alternate(functions, repetitions=repetitions)
    # Backwards: the gradients of inputs and of weights cost as much as the forward pass each.
    flops = 3 * batch * FRAMES * students.flops_per_frame(blocks, layers, SIDE)
    num_bytes = batch * FRAMES * students.bytes_per_frame(blocks, layers, SIDE)
    return {
        "case": f"k={blocks} n={layers}, batch {batch}, {FRAMES} frames of {SIDE}x{SIDE}",
        "times": times,
        "flops_by_hand": flops,
        "bytes_by_hand": num_bytes,
        **timing.cost(step, state, data),
        "floor_s": timing.floor(flops, num_bytes, timing.peaks()),
    }


def _torch_step(model, variables, blocks, layers, frames):
    import torch

    student = students.theirs(variables, blocks, layers)
    students.check_agreement(model, variables, student)
    student.train()
    optimizer = torch.optim.Adam(student.parameters(), 1e-3)
    video = torch.tensor(frames).movedim(-1, 2).float()
    target = (video > 127).float()

    def step() -> None:
        optimizer.zero_grad()
        logits = student(video)
        torch.nn.functional.binary_cross_entropy_with_logits(logits, target).backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versus", choices=("", "torch"), default="")
    parser.add_argument("--repetitions", type=int, default=10)
    options = parser.parse_args()
    rows = [
        measure(blocks, layers, options.versus, options.repetitions)
        for blocks, layers in ((3, 3), (3, 1))
    ]
    timing.emit("train_step", rows)


if __name__ == "__main__":
    main()
