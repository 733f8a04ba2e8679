"""The generator of clips that a run has learnt."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from echodfkd_jax import files
from echodfkd_jax.errors import UserError
from echodfkd_jax.networks.diffusion.latent_video import LatentVideo, build_generator
from echodfkd_jax.networks.loaded import weights_fingerprint
from echodfkd_jax.runs import checkpoints, run_config
from echodfkd_jax.settings import is_generator


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedGenerator:
    """A latent video model with its averaged weights.

    Attributes:
        model: the two networks.
        variables: `{"params": ...}`.
        latents: `mean` and `std` by channel, of the latents as they are encoded.
        window_frames: that it has seen at once.
        fps: frames per second of what it makes.
        source: where the weights are from, for people.
    """

    model: LatentVideo
    variables: Mapping[str, Any]
    latents: Mapping[str, Any]
    window_frames: int
    fps: float
    source: str

    @functools.cached_property
    def fingerprint(self) -> str:
        """`generator-<12 hex>`, of all weights and statistics."""
        everything = {**self.variables, "latents": self.latents}
        return weights_fingerprint("generator", everything)


def load_generator(workdir: files.PathLike, checkpoint: str | int = "best") -> LoadedGenerator:
    """Loads the generator of a run.

    Args:
        workdir: of the run.
        checkpoint: "best" (lowest validation loss), "latest" or a step.

    Raises:
        UserError: there is no run, it learnt no generator, or there is no such checkpoint.
    """
    config = run_config.load(workdir)
    name = config.model.get("name", "")
    if not is_generator(name):
        raise UserError(
            f"{workdir}: its network {name!r} makes no clips; train one with "
            "--config=configs/diffusion.py"
        )
    model = build_generator(**config.model)
    variables, progress = checkpoints.restore_variables(workdir, checkpoint)
    running = variables["batch_stats"]
    return LoadedGenerator(
        model,
        {"params": running["averaged"]},
        running["latents"],
        config.input.window_frames,
        config.generator.fps,
        f"step {progress['step']} of {workdir}",
    )
