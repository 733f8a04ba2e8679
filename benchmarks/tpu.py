"""What the project's programs take on TPUs, from the TPU's compiler: no TPU is needed.

    python -m venv tpu && tpu/bin/pip install -r requirements-tpu.txt
    tpu/bin/python -m benchmarks.tpu                every program for every kind; writes tpu.json
    tpu/bin/python -m benchmarks.tpu --check        the two configurations on a v5e-4: do they fit?

Per chip: whether arguments and temporaries fit its memory; bytes moved and operations, loops
counted by their trips (`hlo_cost.py`); the least time that both allow at the chip's data sheet; and
what 350 epochs of 10,030 clips take at least. No figure here is a clock's.
"""

import argparse
import datetime
import functools
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any, NamedTuple

# The compiler asks neither for a TPU nor for the cloud's metadata.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # Nothing is run: no chip to share.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh, NamedSharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P

from benchmarks.hlo_cost import cost_of_program
from configs import synthetic
from echodfkd_jax.networks.blocks import FORMS
from echodfkd_jax.networks.registry import build_model
from echodfkd_jax.settings import AugmentSettings, ParallelSettings
from echodfkd_jax.training.augmentation import make_augment
from echodfkd_jax.training.parallel import Parallel
from echodfkd_jax.training.state import TrainState
from echodfkd_jax.training.step import eval_step, train_step

PUBLISHED_STEPS = 10_030 // 32 * 350
SIDE = 112


class Chip(NamedTuple):
    """A kind of TPU, from its data sheet; memory as its compiler states it.

    Attributes:
        four: name of the topology of four chips.
        memory: bytes.
        bytes_per_s: of the memory.
        flops_per_s: of products of bfloat16.
    """

    four: str
    memory: float
    bytes_per_s: float
    flops_per_s: float


CHIPS = {
    "v5e": Chip("v5e:2x2", 15.75 * 2**30, 819e9, 197e12),
    "v4": Chip("v4:2x2x1", 30.75 * 2**30, 1228e9, 275e12),
    "v5p": Chip("v5p:2x2x1", 95.74 * 2**30, 2765e9, 459e12),
    "v6e": Chip("v6e:2x2", 31.25 * 2**30, 1640e9, 918e12),
}


class Case(NamedTuple):
    """One program for some chips.

    Attributes:
        program: "train", "evaluate", "predict", "generate" or "label".
        mode: of `configs/synthetic.py`.
        size: k and n of the student, or "" for the mode's.
        dtype: of the products' factors.
        batch: clips over all chips; 0: the mode's.
        kind: of the chips, in `CHIPS`.
        chips: 1 or 4.
        run: "jit" or "pmap".
    """

    program: str
    mode: str = "paper"
    size: str = ""
    dtype: str = "bfloat16"
    batch: int = 0
    kind: str = "v5e"
    chips: int = 4
    run: str = "jit"


CHECKED = [Case("train", "", dtype="auto"), Case("train", "paper", dtype="auto")]
SIZES = [f"{blocks}{layers}" for blocks in (1, 2, 3, 4) for layers in (1, 2, 3, 4)]
CASES = [
    Case("train"),
    Case("train", dtype="float32"),
    Case("train", batch=64),
    Case("train", size="44"),
    Case("train", chips=1),
    Case("train", run="pmap"),
    Case("train", kind="v6e"),
    Case("train", kind="v4"),
    Case("train", kind="v5p"),
    Case("train", ""),
    Case("evaluate"),
    Case("predict", chips=1),
    Case("generate", chips=1),
    Case("label", chips=1),
    *[Case("train", size=size) for size in SIZES if size not in ("33", "44")],
]


def compile_case(case: Case) -> Any:
    """The compiled program, or the compiler's refusal as an exception."""
    devices = topologies.get_topology_desc(
        platform="tpu", topology_name=CHIPS[case.kind].four
    ).devices[: case.chips]
    config = synthetic.get_config(case.mode)
    batch = case.batch or config.train.batch_size
    if case.program in ("train", "evaluate"):
        parallel = Parallel(ParallelSettings(case.run), batch, devices)
        function, arguments = _step(case, config, parallel, batch)
        compiled = parallel.compile(function, donate=case.program == "train")
        if case.run == "pmap":
            # A leading axis of devices: of copies for the state, of shares for the batch.
            state, data = arguments
            state = jax.tree.map(lambda leaf: _reshaped(leaf, (case.chips, *leaf.shape)), state)
            data = jax.tree.map(
                lambda leaf: _reshaped(leaf, (case.chips, batch // case.chips, *leaf.shape[1:])),
                data,
            )
            return compiled.lower(state, data).compile()
        if case.chips == 1:
            arguments = _placed(arguments, SingleDeviceSharding(devices[0]))
        else:
            mesh = Mesh(np.array(devices), (parallel.axis_name,), axis_types=(AxisType.Auto,))
            places = (NamedSharding(mesh, P(*axes)) for axes in ((), (parallel.axis_name,)))
            arguments = [_placed(tree, place) for tree, place in zip(arguments, places)]
        traced = compiled.trace(*arguments)
    else:
        function, arguments = _alone(case, config)
        arguments = _placed(arguments, SingleDeviceSharding(devices[0]))
        traced = jax.jit(function).trace(*arguments)
    return traced.lower(lowering_platforms=("tpu",)).compile()


def _step(case: Case, config: Any, parallel: Parallel, batch: int) -> tuple[Any, list[Any]]:
    model = _student(case, config, axis_name=parallel.axis_name)
    optimizer = optax.adam(config.train.learning_rate)
    state = jax.eval_shape(_create(case, config, optimizer))
    frames = jax.ShapeDtypeStruct((batch, config.input.window_frames, SIDE, SIDE, 1), jnp.uint8)
    data = {"video": frames, "target": frames}
    common = {"model": model, "expand": lambda each: each, "axis_name": parallel.axis_name}
    if case.program == "evaluate":
        data["weight"] = jax.ShapeDtypeStruct((batch,), jnp.float32)
        return functools.partial(eval_step, **common), [state.variables, data]
    augment = make_augment(AugmentSettings(**config.augment), config.seed)
    step = functools.partial(train_step, optimizer=optimizer, augment=augment, **common)
    return step, [state, data]


def _alone(case: Case, config: Any) -> tuple[Any, list[Any]]:
    """Programs that treat each clip by itself."""
    batch = case.batch or 16
    if case.program == "predict":
        model, optimizer = _student(case, config), optax.identity()
        variables = jax.eval_shape(_create(case, config, optimizer)).variables
        frames = jax.ShapeDtypeStruct((batch, 176, SIDE, SIDE, 1), jnp.float32)
        return functools.partial(model.apply, train=False), [variables, frames]
    if case.program == "generate":
        from echodfkd_jax.synthesis import make_clip

        keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), batch))
        make = functools.partial(make_clip, num_frames=config.input.window_frames)
        return jax.vmap(make), [keys]
    from echodfkd_jax.teachers import load_teacher

    frames = jax.ShapeDtypeStruct((batch, config.input.window_frames, SIDE, SIDE), jnp.float32)
    return jax.vmap(load_teacher("unet").apply_fn), [frames]


def _student(case: Case, config: Any, **fields: Any) -> Any:
    fields = dict(config.model) | {"form": FORMS["tpu"], "dtype": case.dtype} | fields
    if case.dtype == "auto":  # What a TPU's process would choose.
        fields["dtype"] = FORMS["tpu"].dtype
    if case.size:
        fields |= {"blocks": int(case.size[0]), "layers": int(case.size[1])}
    return build_model(**fields)


def _create(case: Case, config: Any, optimizer: Any) -> Any:
    def create() -> TrainState:
        video = jnp.zeros((1, 2, SIDE, SIDE, 1))
        variables = _student(case, config).init(jax.random.key(0), video)
        params = variables["params"]
        return TrainState(
            jnp.zeros((), jnp.int32), params, variables["batch_stats"], optimizer.init(params)
        )

    return create


def _reshaped(leaf: Any, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, leaf.dtype)


def _placed(tree: Any, sharding: Any) -> Any:
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
    )


def measure(case: Case) -> dict[str, Any]:
    """A case's row."""
    start, chip = time.perf_counter(), CHIPS[case.kind]
    row = case._asdict()
    try:
        compiled = compile_case(case)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return {**row, "fits": False, "error": str(error).splitlines()[0][:200]}
    memory, cost = compiled.memory_analysis(), cost_of_program(compiled.as_text())
    taken = memory.temp_size_in_bytes + memory.argument_size_in_bytes
    bound = max(cost.num_bytes / chip.bytes_per_s, cost.operations / chip.flops_per_s)
    return {
        **row,
        "fits": taken <= chip.memory,
        "temporaries": memory.temp_size_in_bytes,
        "num_bytes": cost.num_bytes,
        "operations": cost.operations,
        "bound_s": bound,
        "compiled_in_s": time.perf_counter() - start,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, a line per program."""
    heads = ["program", "fits", "temporaries", "moved", "operations", "at least", "350 epochs"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        size = f", k={row['size'][0]} n={row['size'][1]}" if row["size"] else ""
        batch = f", batch {row['batch']}" if row["batch"] else ""
        name = f"{row['program']} `:{row['mode']}`{size}{batch}, {row['dtype']}, {row['run']}"
        name += f", {row['kind']} x {row['chips']}"
        if "error" in row:
            lines.append(f"| {name} | no | {row['error']} | | | | |")
            continue
        epochs = ""
        if row["program"] == "train" and row["mode"] == "paper" and not row["batch"]:
            epochs = f"{PUBLISHED_STEPS * row['bound_s'] / 3600:.1f} h"
        cells = [
            name,
            "yes" if row["fits"] else "no",
            f"{row['temporaries'] / 1e9:.2f} GB",
            f"{row['num_bytes'] / 1e9:.1f} GB",
            f"{row['operations'] / 1e12:.2f} T",
            f"{1000 * row['bound_s']:.0f} ms",
            epochs,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tpu", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail where a default does not fit")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("benchmarks/tpu.json"))
    parser.add_argument("--first", type=int, default=len(CASES), help="so many of the cases")
    options = parser.parse_args()
    if importlib.util.find_spec("libtpu") is None:
        print("The TPU's compiler (libtpu) is not installed here: nothing was compiled.")
        return
    rows = []
    for case in CHECKED if options.check else CASES[: options.first]:
        rows.append(measure(case))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        if not options.check:
            _write(options.out, rows)
    print(table(rows))
    if options.check and not all(row["fits"] for row in rows):
        sys.exit("a training step does not fit a v5e")


def _write(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    found = {"figure": "tpu", "date": today, "commit": commit, "jax": jax.__version__}
    path.write_text(json.dumps({**found, "table": table(rows), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
