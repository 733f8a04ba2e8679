"""The generator of clips that a run has learnt."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Float32, UInt8

from echodfkd_jax import files
from echodfkd_jax.errors import UserError
from echodfkd_jax.networks.diffusion.latent_video import LatentVideo, build_generator
from echodfkd_jax.networks.loaded import weights_fingerprint
from echodfkd_jax.runs import checkpoints, run_config
from echodfkd_jax.settings import is_generator
from echodfkd_jax.synthesis import FRAME_SIZE
from echodfkd_jax.synthesis.diffusion import frames


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

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a frame's latents."""
        side = FRAME_SIZE // self.pixels_of_latent
        return side, side, self.model.latent_channels

    @property
    def pixels_of_latent(self) -> int:
        """Along a side."""
        return 2 ** (len(self.model.widths) - 1)

    def encode(self, pictures: UInt8[np.ndarray, "n h w"]) -> Float32[np.ndarray, "n _ _ c"]:
        """Standardised latents of grey frames, the middle of their distribution.

        Raises:
            UserError: the sides cannot be halved often enough.
        """
        return np.asarray(self._encode(self._on_device, pictures[..., None]))

    def decode(self, latents: Float[np.ndarray, "n _ _ c"]) -> UInt8[np.ndarray, "n h w"]:
        """Grey frames of standardised latents."""
        return np.asarray(self._decode(self._on_device, latents))[..., 0]

    @functools.cached_property
    def _on_device(self) -> Any:
        return jax.device_put((self.variables, self.latents))

    @functools.cached_property
    def _encode(self) -> Any:
        def encode(weights: Any, pictures: Any) -> Any:
            variables, latents = weights
            signal = frames.to_signal(pictures)
            posterior: Any = self.model.apply(variables, signal, method="encode")
            return (posterior.mean - latents["mean"]) / latents["std"]

        return jax.jit(encode)

    @functools.cached_property
    def _decode(self) -> Any:
        def decode(weights: Any, standardised: Any) -> Any:
            variables, latents = weights
            found = standardised * latents["std"] + latents["mean"]
            signal: Any = self.model.apply(variables, found, method="decode")
            return frames.to_grey(signal)

        return jax.jit(decode)


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
