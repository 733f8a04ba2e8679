"""A learned generator that is small: one of first weights, and a run of one with its clips."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from configs import diffusion
from echodfkd_jax import cli
from echodfkd_jax.networks.diffusion.latent_video import LatentVideo
from echodfkd_jax.runs.generator import LoadedGenerator

WINDOW, FPS = 4, 16.0


class Blocks(LoadedGenerator):
    """Its latents are the mean grey values of 8 x 8 pixels; 1 is 128 grey values.

    A decoder of first weights makes much of little; here it is known how much.
    """

    def encode(self, pictures):
        means = pictures.reshape(len(pictures), 14, 8, 14, 8).mean((2, 4), dtype=np.float32)
        return np.repeat(means[..., None] / 128 - 1, 4, axis=-1)

    def decode(self, latents):
        grey = np.clip(128 * (np.mean(latents, axis=-1) + 1), 0, 255).round().astype(np.uint8)
        return grey.repeat(8, axis=1).repeat(8, axis=2)


@functools.cache
def made_generator(kind=LoadedGenerator):
    """Its latents are said to have other means and deviations than 0 and 1."""
    model = LatentVideo(
        widths=(4, 4, 4, 4), video_widths=(4,), attention=(False,), heads=(1,), groups=2
    )
    variables = model.lazy_init(
        jax.random.key(0),
        jax.ShapeDtypeStruct((1, 16, 16, 1), jnp.float32),
        jax.ShapeDtypeStruct((1, 2, 2, 4), jnp.float32),
    )
    latents = {"mean": 0.1 * jnp.arange(4.0), "std": jnp.full(4, 1.5)}
    return kind(model, variables, latents, WINDOW, FPS, "nowhere")


def make_run(folder, **fields):
    """Learns from a few made-up hearts, longer than the window at the generator's frame rate."""
    fields = {
        "workdir": folder / "run",
        "dataset.data_dir": folder,
        "dataset.generator": "tests.own_parts:Hearts",
        "dataset.num_train": 4,
        "dataset.num_validation": 3,
        "dataset.num_test": 3,
        "dataset.num_frames": 24,
        "train.num_epochs": 1,
        "generate.filter": False,
        **fields,
    }
    settings = [f"--config.{field}={value}" for field, value in fields.items()]
    config = f"--config={diffusion.__file__}:smoke"
    assert cli.main(["main.py", config, "--stage=all", *settings]) == 0
    return folder / "run"
