"""Reads the recorded numbers of the published PyTorch student on made-up inputs and weights."""

from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

TESTDATA = Path(__file__).parents[1] / "testdata"


class Golden(NamedTuple):
    blocks: int
    layers: int
    filters: int
    state_dict: dict[str, np.ndarray]
    video: Array
    target: Array
    eval_logits: Array
    train_losses: np.ndarray
    eval_logits_after_6_steps: Array


def load_golden(name):
    blocks, layers = int(name[8]), int(name[9])
    with np.load(TESTDATA / f"{name}.npz") as file:
        videos = ("video", "target", "eval_logits", "eval_logits_after_6_steps")
        return Golden(
            blocks,
            layers,
            int(name.split("filters")[1]),
            {key[2:]: file[key] for key in file if key.startswith("w:")},
            train_losses=file["train_losses"],
            **{key: jnp.moveaxis(file[key], 2, -1) for key in videos},
        )
