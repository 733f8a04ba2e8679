"""Everything that only an accelerator can tell, in one call of less than ten minutes.

    python -m benchmarks.gpu > benchmarks/gpu.json

Needs jax, flax, optax, safetensors and jaxtyping; PyTorch with CUDA for the comparison, without
which only our side is measured. Training step at batch 32 in float32 and bfloat16, against PyTorch
as it is and compiled; inference of 16 whole clips; the generator; the shipped teacher. It has not
been run on a GPU yet: no figure of it is in `RESULTS.md`.
"""

import argparse
import functools

import jax
import jax.numpy as jnp
import optax

from benchmarks import students, timing
from echodfkd_jax.networks.inference import predict_clips
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.synthesis import make_clip
from echodfkd_jax.teachers import load_teacher
from echodfkd_jax.training.state import TrainState
from echodfkd_jax.training.step import train_step

BATCH, WINDOW, WINDOW_SIDE = 32, 25, 56
CLIPS, FRAMES, SIDE = 16, 176, 112
SIZES = ((3, 3), (3, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=10)
    options = parser.parse_args()
    rows = []
    for blocks, layers in SIZES:
        rows.append(_training(blocks, layers, options.repetitions))
        rows.append(_inference(blocks, layers, options.repetitions))
    rows += [_generator(options.repetitions), _labelling(options.repetitions)]
    timing.emit("gpu", rows)


def _training(blocks: int, layers: int, repetitions: int) -> dict:
    frames = students.clips(BATCH, WINDOW, WINDOW_SIDE)[..., None]
    data = jax.device_put({"video": frames, "target": frames})
    optimizer = optax.adam(1e-3)
    functions = {}
    for name, dtype in (("ours", jnp.float32), ("ours, bfloat16", jnp.bfloat16)):
        model, variables = students.ours(blocks, layers, dtype=dtype)
        params = variables["params"]
        state = TrainState(
            jnp.zeros((), jnp.int32), params, variables["batch_stats"], optimizer.init(params)
        )
        step = jax.jit(
            functools.partial(
                train_step, model=model, optimizer=optimizer, expand=lambda b: b, axis_name=None
            )
        )
        functions[name] = functools.partial(step, state, data)
    functions |= _torch_steps(blocks, layers, frames)
    times = timing.alternate(functions, repetitions=repetitions, warmup=3)
    flops = 3 * BATCH * WINDOW * students.flops_per_frame(blocks, layers, WINDOW_SIDE)
    return {
        "case": f"training, k={blocks} n={layers}, batch {BATCH}, {WINDOW} x {WINDOW_SIDE}^2",
        "times": times,
        "floor_s": flops / timing.peaks()["flops_per_s"],
    }


def _torch_steps(blocks: int, layers: int, frames) -> dict:
    try:
        import torch
    except ImportError:
        return {}
    if not torch.cuda.is_available():
        return {}
    _, variables = students.ours(blocks, layers)
    steps = {}
    for name, compiled in (("torch", False), ("torch.compile", True)):
        student = students.theirs(variables, blocks, layers).cuda().train()
        run = torch.compile(student) if compiled else student
        optimizer = torch.optim.Adam(student.parameters(), 1e-3)
        video = torch.tensor(frames).movedim(-1, 2).float().cuda()
        target = video / 255

        def step(run=run, optimizer=optimizer, video=video, target=target) -> None:
            optimizer.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(run(video), target)
            loss.backward()
            optimizer.step()
            torch.cuda.synchronize()

        steps[name] = step
    return steps


def _inference(blocks: int, layers: int, repetitions: int) -> dict:
    model, variables = students.ours(blocks, layers)
    frames = students.clips(CLIPS, FRAMES, SIDE)
    functions = {"ours": lambda: predict_clips(LoadedNetwork(model, variables), frames)}
    try:
        import torch

        if torch.cuda.is_available():
            student = students.theirs(variables, blocks, layers).cuda().eval()

            def theirs():
                with torch.inference_mode():
                    video = torch.from_numpy(frames).cuda().float()[:, :, None]
                    prob = torch.sigmoid(student(video)[:, :, 0])
                    return (255 * prob).round().to(torch.uint8).cpu().numpy()

            functions["torch"] = theirs
    except ImportError:
        pass
    times = timing.alternate(functions, repetitions=max(1, repetitions // 2))
    flops = CLIPS * FRAMES * students.flops_per_frame(blocks, layers, SIDE)
    return {
        "case": f"inference, k={blocks} n={layers}, {CLIPS} clips of {FRAMES} x {SIDE}^2",
        "times": times,
        "floor_s": flops / timing.peaks()["flops_per_s"],
    }


def _generator(repetitions: int) -> dict:
    keys = jax.random.split(jax.random.key(0), BATCH)
    make = jax.jit(jax.vmap(lambda key: make_clip(key, num_frames=WINDOW)))
    times = timing.alternate({"make": lambda: make(keys)}, repetitions=repetitions)
    return {
        "case": f"generator, {BATCH} clips of {WINDOW} frames",
        "times": times,
        "frames_per_s": BATCH * WINDOW / times["make"]["median_s"],
    }


def _labelling(repetitions: int) -> dict:
    (frames,) = students.clips(1, 1024, SIDE)
    teacher = load_teacher("unet")
    times = timing.alternate({"label": lambda: teacher(frames)}, repetitions=repetitions)
    return {
        "case": f"shipped teacher, {len(frames)} frames",
        "times": times,
        "frames_per_s": len(frames) / times["label"]["median_s"],
    }


if __name__ == "__main__":
    main()
