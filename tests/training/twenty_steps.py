"""Twenty steps of a small ConvLSTM on some devices; the numbers are printed as JSON.

    python tests/training/twenty_steps.py '[{"mode": "jit", "devices": 4}, ...]' [HOST:PORT ID]

Each case prints a line. With HOST:PORT two processes run the cases together, on all devices.
"""

import functools
import json
import pathlib
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import jax
import numpy as np
from flax import traverse_util

from configs import synthetic
from echodfkd_jax.networks.registry import build_model
from echodfkd_jax.settings import ParallelSettings, TrainSettings
from echodfkd_jax.training.batches import Shard
from echodfkd_jax.training.parallel import Parallel, join, on_first
from echodfkd_jax.training.state import create_state, make_optimizer, make_schedule
from echodfkd_jax.training.step import eval_step, train_step

BATCH = 8


def run(
    mode: str, devices: int | None = None, micro_batches: int = 1, sync_batch_norm: bool = True
) -> dict[str, Any]:
    """Noise, brighter where the target is."""
    plain = {"clip_norm": 1.0, "learning_rate": 1e-3, "schedule": "constant", "warmup_steps": 0}
    settings = TrainSettings(**(dict(synthetic.get_config().train) | plain))
    parallel = Parallel(
        ParallelSettings(mode), BATCH, jax.devices()[:devices], accumulate_steps=micro_batches
    )
    fields = {"name": "convlstm", "blocks": 2, "layers": 1, "filters": 4, "subsampling": 1}
    optimizer = make_optimizer(settings, make_schedule(settings, 20))
    state = create_state(build_model(**fields), optimizer, 0, frame_shape=(8, 8))
    model = build_model(**fields, axis_name=parallel.axis_name if sync_batch_norm else None)
    common = {"model": model, "expand": lambda batch: batch, "axis_name": parallel.axis_name}
    learn = functools.partial(
        train_step, optimizer=optimizer, accumulate_steps=micro_batches, **common
    )
    train = parallel.compile(learn, donate=True)
    score = parallel.compile(functools.partial(eval_step, **common))
    rows = Shard(parallel.process_index, parallel.num_processes, micro_batches).rows(BATCH)
    rng = np.random.default_rng(0)
    state = parallel.replicate(state)
    losses, norms = [], []
    for step in range(20):
        inside = np.zeros((BATCH, 3, 8, 8, 1), bool)
        inside[:, :, :, : 3 + step % 3] = True
        target = np.where(inside, 255, 0).astype(np.uint8)
        video = (rng.integers(0, 100, target.shape) + 100 * inside).astype(np.uint8)
        batch = {"video": video[rows], "target": target[rows]}
        state, metrics = train(state, parallel.shard(batch))
        metrics = parallel.first(metrics)
        losses.append(float(metrics["loss_sum"] / metrics["count"]))
        norms.append(float(metrics["grad_norm"]))
    weight = np.array([1, 1, 1, 1, 1, 0, 0, 0], np.float32)
    batch = {"video": video[rows], "target": target[rows], "weight": weight[rows]}
    scores = parallel.first(score(state.variables, parallel.shard(batch)))
    stats = traverse_util.flatten_dict(parallel.first(state.batch_stats), sep="/")
    # Normalisation takes the decoder's bias out again, so its gradient is 0 but for rounding, which
    # Adam scales up to whole steps: the bias wanders, and the mean after it, and nothing else does.
    del stats["decoder_norm_0/mean"]
    return {
        "devices": len(parallel.devices),
        "processes": parallel.num_processes,
        "from_first": on_first(jax.process_index),
        "losses": losses,
        "norms": norms,
        "stats": [float(stats[name].sum()) for name in sorted(stats)],
        "scores": {k: float(v) for k, v in sorted(scores.items())},
    }


if __name__ == "__main__":
    cases, *where = sys.argv[1:]
    if where:
        join(ParallelSettings("jit", where[0], num_processes=2, process_id=int(where[1])))
    for case in json.loads(cases):
        print(json.dumps(run(**case)), flush=True)
