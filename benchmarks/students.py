"""The student on both sides of a comparison: ours, and the same network in PyTorch."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from echodfkd_jax.interop.torch_student import to_torch
from echodfkd_jax.networks import ConvLSTMUNet


def clips(batch: int, num_frames: int, side: int) -> np.ndarray:
    """Frames uint8 (b, t, h, w): noise, because no time here depends on what is seen."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (batch, num_frames, side, side), dtype=np.uint8)


def ours(blocks: int, layers: int, **fields: Any) -> tuple[ConvLSTMUNet, dict[str, Any]]:
    """The student and random weights, with running statistics that are not those of birth.

    Drawn by numpy: `model.init` compiles for seconds, and the time of nothing here depends on them.
    """
    model = ConvLSTMUNet(blocks=blocks, layers=layers, **fields)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 1, 112, 112, 1)))
    rng = np.random.default_rng(0)

    def draw(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
        if path[-1].key != "kernel":
            return jnp.full(leaf.shape, 1.1 if path[-1].key in ("scale", "var") else 0.1)
        bound = math.prod(leaf.shape[:-1]) ** -0.5
        return jnp.asarray(rng.uniform(-bound, bound, leaf.shape), leaf.dtype)

    return model, jax.tree_util.tree_map_with_path(draw, shapes)


def theirs(variables: dict[str, Any], blocks: int, layers: int) -> Any:
    """The PyTorch student with the same weights, on as many threads as there are cores."""
    import os

    import torch

    from benchmarks.torch_baseline import TorchStudent

    torch.set_num_threads(os.cpu_count() or 1)
    student = TorchStudent(blocks, layers)
    state = to_torch(variables, blocks=blocks, layers=layers, prefix="")
    student.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
    return student


def check_agreement(model: ConvLSTMUNet, variables: dict[str, Any], student: Any) -> float:
    """The largest difference of logits over the largest logit, on a short clip.

    Raises:
        AssertionError: it is more than 1e-3: the two are not the same network.
    """
    import torch

    frames = clips(1, 4, 56)
    got = jax.jit(model.apply)(variables, frames[..., None].astype(jnp.float32))
    with torch.no_grad():
        video = torch.tensor(frames).float()[:, :, None]
        wanted = student.eval()(video).movedim(2, -1).numpy()
    difference = float(np.abs(np.asarray(got) - wanted).max() / np.abs(wanted).max())
    assert difference < 1e-3, f"the two students differ by {difference}"
    return difference


def flops_per_frame(blocks: int, layers: int, side: int, filters: int = 12) -> float:
    """Operations (two per product and sum) of the convolutions of one frame, by hand.

    The decoder is counted as it is published, on enlarged images; ours does 4/9 of that.
    """
    total, inputs = 0.0, 1
    for block in range(blocks):
        width = filters * 2**block
        pixels = (side // 2**block) ** 2
        for _ in range(layers):
            total += 2 * 9 * (inputs + width) * 4 * width * pixels
            inputs = width
    for block in range(blocks - 1):
        width = filters * 2**block
        total += 2 * 9 * 2 * width * width * (side // 2**block) ** 2
    return total + 2 * filters * side**2


def bytes_per_frame(blocks: int, layers: int, side: int, filters: int = 12) -> float:
    """Bytes that a training step moves at least: what the backward pass needs of each layer.

    Four gates, the cell and the hidden state, float32, written once and read once.
    """
    values = sum(6 * filters * 2**block * (side // 2**block) ** 2 for block in range(blocks))
    return 2 * 4 * layers * values
