"""Masks of whole clips: `python -m benchmarks.inference [--versus torch]`.

From uint8 frames to uint8 masks, as `predict` and `evaluate` do it.
"""

import argparse

from benchmarks import students, timing
from echodfkd_jax.networks.inference import predict_clips
from echodfkd_jax.networks.loaded import LoadedNetwork

FRAMES, SIDE = 176, 112
WINDOW_FRAMES, WINDOW_SIDE = 25, 56


def measure(
    blocks: int,
    layers: int,
    batch: int,
    versus: str,
    repetitions: int,
    *,
    num_frames: int = FRAMES,
    side: int = SIDE,
) -> dict:
    model, variables = students.ours(blocks, layers)
    frames = students.clips(batch, num_frames, side)
    functions = {"ours": lambda: predict_clips(LoadedNetwork(model, variables), frames)}
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
    flops = batch * num_frames * students.flops_per_frame(blocks, layers, side)
    num_bytes = 2 * frames.nbytes  # Frames in, masks out; the memory of one frame stays in caches.
    return {
        "case": f"k={blocks} n={layers}, {batch} x {num_frames} frames of {side}x{side}",
        "times": times,
        "flops_by_hand": flops,
        "bytes_by_hand": num_bytes,
        "floor_s": timing.floor(flops, num_bytes, timing.peaks()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versus", choices=("", "torch"), default="")
    parser.add_argument("--repetitions", type=int, default=10)
    options = parser.parse_args()
    versus, repetitions = options.versus, options.repetitions
    window = {"num_frames": WINDOW_FRAMES, "side": WINDOW_SIDE}
    rows = [
        measure(3, 3, 4, versus, repetitions, **window),
        measure(3, 1, 1, versus, repetitions),
        measure(3, 3, 1, versus, max(1, repetitions // 2)),
        # Sixteen at once need some gigabytes in PyTorch, which keeps every frame of every layer.
        measure(3, 1, 16, versus, max(1, repetitions // 4)),
    ]
    timing.emit("inference", rows)


if __name__ == "__main__":
    main()
