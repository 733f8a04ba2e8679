"""Masks of whole clips: `python -m benchmarks.inference [--versus torch]`.

From uint8 frames to uint8 masks, as `predict` and `evaluate` do it.
"""

import argparse

from benchmarks import students, timing
from echodfkd_jax.student.inference import predict_clips

FRAMES, SIDE = 176, 112


def measure(blocks: int, layers: int, batch: int, versus: str, repetitions: int) -> dict:
    model, variables = students.ours(blocks, layers)
    frames = students.clips(batch, FRAMES, SIDE)
    functions = {"ours": lambda: predict_clips(model, variables, frames)}
    if versus == "torch":
        import torch

        student = students.theirs(variables, blocks, layers).eval()
        students.check_agreement(model, variables, student)

        def theirs():
            with torch.inference_mode():
                logits = student(torch.from_numpy(frames).float()[:, :, None])
                return (255 * torch.sigmoid(logits[:, :, 0])).round().to(torch.uint8).numpy()

        functions["torch"] = theirs
    times = timing.alternate(functions, repetitions=repetitions)
    flops = batch * FRAMES * students.flops_per_frame(blocks, layers, SIDE)
    return {
        "case": f"k={blocks} n={layers}, {batch} x {FRAMES} frames of {SIDE}x{SIDE}",
        "times": times,
        "flops_by_hand": flops,
        "floor_s": flops / timing.peaks()["flops_per_s"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versus", choices=("", "torch"), default="")
    parser.add_argument("--repetitions", type=int, default=10)
    options = parser.parse_args()
    rows = [measure(3, 3, 1, options.versus, options.repetitions)]
    rows.append(measure(3, 1, 1, options.versus, options.repetitions))
    # Sixteen clips at once need some gigabytes in PyTorch, which keeps every frame of every layer.
    rows.append(measure(3, 1, 16, options.versus, max(1, options.repetitions // 4)))
    timing.emit("inference", rows)


if __name__ == "__main__":
    main()
