"""Our side of `benchmarks.gpu`, in a process of its own."""

import functools
import os
from collections.abc import Callable
from typing import Any

# Memory is taken as it is needed: PyTorch works on the same device.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.92")

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import students
from benchmarks.gpu_process import serve
from echodfkd_jax.networks import blocks
from echodfkd_jax.networks.blocks import Form
from echodfkd_jax.networks.inference import predict_clips
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.training.state import TrainState
from echodfkd_jax.training.step import train_step

# One pixel at a time, with the gates kept or made again, and the form that is chosen for a TPU.
FORMS = {"plain": Form(1, True), "lean": Form(1, False), "blocks": blocks.FORMS["tpu"]}
Prepared = tuple[dict[str, Any], Callable[[int], None]]


def prepare(case: dict[str, Any]) -> Prepared:
    """Makes a case's program; see `gpu_process.Prepare`."""
    makers = {
        "ceilings": ceiling,
        "training": training,
        "inference": inference,
        "generator": generator,
    }
    return makers[case["figure"]](case)


def ceiling(case: dict[str, Any]) -> Prepared:
    """A large product (work in operations) or a large copy (in bytes read and written)."""
    size, dtype = case["batch"], jnp.dtype(case["dtype"])
    if case["form"] == "copy":
        inputs = (jax.random.normal(jax.random.key(0), (size,), dtype),)
        function, work = jax.jit(lambda x: x + 1), 2 * inputs[0].nbytes
    else:
        inputs = tuple(jax.random.normal(jax.random.key(i), (size, size), dtype) for i in (0, 1))
        function, work = jax.jit(jnp.matmul), 2 * size**3

    def run(count: int) -> None:
        for _ in range(count):
            found = function(*inputs)
        jax.block_until_ready(found)

    return {"work": work}, run


def training(case: dict[str, Any]) -> Prepared:
    """The product's own step on noise, its state given on from step to step."""
    model, variables = _student(case)
    optimizer = optax.adam(1e-3)
    params = variables["params"]
    state = TrainState(
        jnp.zeros((), jnp.int32), params, variables["batch_stats"], optimizer.init(params)
    )
    frames = students.clips(case["batch"], case["frames"], case["pixels"])[..., None]
    data = {"video": frames, "target": (255 * (frames > 127)).astype(np.uint8)}
    state, data = jax.device_put((state, data))
    step = functools.partial(
        train_step, model=model, optimizer=optimizer, expand=lambda b: b, axis_name=None
    )
    compiled = jax.jit(step, donate_argnums=0).lower(state, data).compile()
    kept = {"state": jax.tree.map(jnp.copy, state)}
    first = jax.device_get(compiled(state, data)[1])

    def run(count: int) -> None:
        for _ in range(count):
            kept["state"], metrics = compiled(kept["state"], data)
        jax.block_until_ready(metrics)

    operations = students.flops_per_frame(case["blocks"], case["layers"], case["pixels"])
    known = {
        # Backwards: the gradients of inputs and of weights cost as much as the forward pass each.
        "work": 3 * case["batch"] * case["frames"] * operations,
        "temporaries": compiled.memory_analysis().temp_size_in_bytes,
        "first_loss": float(first["loss_sum"] / first["count"]),
    }
    return known, run


def inference(case: dict[str, Any]) -> Prepared:
    """Masks uint8 of frames uint8, both on the host, as `predict` does it."""
    network = LoadedNetwork(*_student(case))
    frames = students.clips(case["batch"], case["frames"], case["pixels"])
    predict_clips(network, frames)  # Compiles.

    def run(count: int) -> None:
        for _ in range(count):
            predict_clips(network, frames)

    operations = students.flops_per_frame(case["blocks"], case["layers"], case["pixels"])
    return {"work": case["batch"] * case["frames"] * operations}, run


def generator(case: dict[str, Any]) -> Prepared:
    """Generated clips, left on the device."""
    from echodfkd_jax.synthesis import make_clip

    keys = jax.random.split(jax.random.key(0), case["batch"])
    make = jax.vmap(functools.partial(make_clip, num_frames=case["frames"]))
    compiled = jax.jit(make).lower(keys).compile()

    def run(count: int) -> None:
        for _ in range(count):
            clips = compiled(keys)
        jax.block_until_ready(clips)

    return {"temporaries": compiled.memory_analysis().temp_size_in_bytes}, run


def _student(case: dict[str, Any]) -> tuple[Any, Any]:
    fields = {"dtype": jnp.dtype(case["dtype"]), "form": FORMS[case["form"]]}
    return students.ours(case["blocks"], case["layers"], **fields)


if __name__ == "__main__":
    device = jax.devices()[0]
    known = {"device": device.device_kind, "jax": jax.__version__, "num_cores": os.cpu_count()}
    serve(known, prepare, threads=4)
