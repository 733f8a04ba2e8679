"""PyTorch's side of `benchmarks.gpu`, in a process of its own: eager, and with compiled cells.

bfloat16 is PyTorch's automatic mixed precision. "compiled" compiles each ConvLSTM cell, of which 25
frames times the layers are called in a step: whole unrolled steps take minutes to compile.
"""

import os
from collections.abc import Callable
from typing import Any

# The weights come from our student, on the CPU: the GPU's memory is not for them.
os.environ["JAX_PLATFORMS"] = "cpu"

import numpy as np
import torch

from benchmarks import students
from benchmarks.gpu_process import serve
from benchmarks.torch_baseline import Cell

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def prepare(case: dict[str, Any]) -> tuple[dict[str, Any], Callable[[int], None]]:
    """Makes a case's program; see `gpu_process.Prepare`."""
    _, variables = students.ours(case["blocks"], case["layers"])
    student = students.theirs(variables, case["blocks"], case["layers"]).to(DEVICE)
    if case["form"] == "compiled":
        for module in student.modules():
            if isinstance(module, Cell):
                module.compile(dynamic=False)
    frames = students.clips(case["batch"], case["frames"], case["pixels"])
    mixed = torch.autocast(DEVICE, torch.bfloat16, enabled=case["dtype"] == "bfloat16")
    maker = training if case["figure"] == "training" else inference
    torch.cuda.empty_cache()
    return maker(student, frames, mixed)


def training(student: Any, frames: np.ndarray, mixed: Any) -> tuple[dict, Callable[[int], None]]:
    """A step on frames uint8, with Adam."""
    student.train()
    optimizer = torch.optim.Adam(student.parameters(), 1e-3)
    video = torch.from_numpy(frames).to(DEVICE)[:, :, None]

    def step() -> Any:
        optimizer.zero_grad()
        with mixed:
            logits = student(video.float())
        target = (video > 127).float()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), target)
        loss.backward()
        optimizer.step()
        return loss

    def run(count: int) -> None:
        for _ in range(count):
            loss = step()
        loss.item()  # Waits.
        _wait()

    first = step().item()
    return {"first_loss": first}, run


def inference(student: Any, frames: np.ndarray, mixed: Any) -> tuple[dict, Callable[[int], None]]:
    """Masks uint8 of frames uint8, both on the host."""
    student.eval()

    def run(count: int) -> None:
        with torch.inference_mode(), mixed:
            for _ in range(count):
                logits = student(torch.from_numpy(frames).to(DEVICE).float()[:, :, None])
                prob = torch.sigmoid(logits[:, :, 0].float())
                (255 * prob).round().to(torch.uint8).cpu().numpy()

    run(1)
    return {}, run


def _wait() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    torch._dynamo.config.recompile_limit = 64
    serve({"device": DEVICE, "torch": torch.__version__}, prepare, threads=0)
