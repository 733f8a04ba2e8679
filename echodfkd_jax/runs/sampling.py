"""Clips from the generator that a run has learnt: from noise, or from rough pictures."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int64, Key, PRNGKeyArray, UInt, UInt8

from echodfkd_jax.errors import UserError
from echodfkd_jax.networks.diffusion.latent_video import Condition
from echodfkd_jax.runs.generator import LoadedGenerator
from echodfkd_jax.synthesis.diffusion import (
    carrying,
    edm,
    frames,
    injection,
    padding,
    predictions,
    samplers,
    sampling,
    schedules,
    stitching,
)

# Standardised latents beyond it are the sampler's, not a heart's.
_CLIP = 5.0
# Steps of `PictureSampler`, from pure noise on; half of Free-Echo's.
PICTURE_STEPS = 32

# (keys (b, 3), ejection fractions / 100 (b,)) -> clips uint8 (b, f, h, w).
ClipSampler = Callable[[Key[Array, "b 3"], Float[Array, "b"]], UInt8[Array, "b f h w"]]


def schedule() -> Any:
    """Alpha-bar of what generators learn."""
    return schedules.zero_terminal_snr(schedules.linear_alphas_cumprod())


def keys_of(seed: Any, numbers: UInt[Array, "b"]) -> Key[Array, "b 3"]:
    """What clips with these numbers are drawn from: `[:, 0]` is for their ejection fractions."""
    root = jax.random.key(seed)
    return jax.vmap(lambda number: jax.random.split(jax.random.fold_in(root, number), 3))(numbers)


def clip_sampler(
    generator: LoadedGenerator, *, num_frames: int, steps: int, guidance: float = 1.0
) -> ClipSampler:
    """Keys and ejection fractions to clips, compiled; see `keys_of`.

    Args:
        generator: that makes them.
        num_frames: of each.
        steps: of the sampler.
        guidance: more: the ejection fraction counts more; 1: as it was learnt.
    """
    model, latents, shape = generator.model, generator.latents, generator.latent_shape
    table, window = schedule(), generator.window_frames
    draw = functools.partial(
        sampling.sample_clips,
        frame_shape=shape,
        alphas_cumprod=table,
        steps=schedules.trailing(table, steps),
        clip=_CLIP,
    )
    first_window = stitching.plan(window, window, window // 2)
    all_windows = stitching.plan(num_frames, window, window // 2)

    @jax.jit
    def sample(variables: Any, keys: Any, fractions: Any) -> Any:
        network = _network(model, variables, guidance)
        yes = jnp.ones(len(keys), bool)
        nothing = padding.pad(jnp.zeros((len(keys), *shape)))
        condition = Condition(fractions, yes, nothing, ~yes)
        found = draw(network, condition, keys[:, 1], first_window)
        if num_frames > window:
            # A long clip is one heart: all of its windows are shown the same frame.
            still = padding.pad(found[:, 0])
            condition = Condition(fractions, yes, still, yes)
            found = draw(network, condition, keys[:, 2], all_windows)
        found = found[:, :num_frames] * latents["std"] + latents["mean"]

        def decode(of_frame: Array) -> Array:
            signal: Any = model.apply(variables, of_frame, method="decode")
            return frames.to_grey(signal)[..., 0]

        return jnp.moveaxis(jax.lax.map(decode, jnp.moveaxis(found, 1, 0)), 0, 1)

    return functools.partial(sample, jax.device_put(generator.variables))


class PictureSampler:
    """Clips from rough pictures of their frames; see `synthesis.diffusion.map_to_clip`.

    Free-Echo takes noise out of pixels at EDM's levels. Here the pictures are encoded, and the
    network is asked at EDM's levels of standardised latents (`predictions.at_sigmas`): start, churn
    and steps are the published ones. Latents have a standard deviation of 1 where Free-Echo counts
    on 0.5 of pixels, so the same sigma leaves twice as much of the pictures. Neither an ejection
    fraction nor a frame is told.

    Attributes:
        steps: of the sampler; `noise` are their sigmas.
    """

    def __init__(
        self,
        generator: LoadedGenerator,
        num_steps: int = PICTURE_STEPS,
        churn: edm.Churn = edm.FREE_ECHO_CHURN,
    ) -> None:
        """Compiles nothing yet.

        Args:
            generator: that makes the clips.
            num_steps: of the sampler from pure noise; fewer are done from pictures.
            churn: how much noise is added on the way.

        Raises:
            UserError: fewer than two steps.
        """
        table = schedule()
        least = float(np.sqrt((1 - np.float64(table[0])) / table[0]))
        self.steps = schedules.karras_sigmas(num_steps, sigma_min=least)
        self._generator, self._table, self._churn = generator, table, churn
        self._variables = jax.device_put(generator.variables)
        self._finish = jax.jit(self._from_state)

    def step_at(self, sigma: float) -> int:
        """The step whose level is nearest; `steps.noise[step]` is what it is."""
        return int(np.argmin(np.abs(np.log(self.steps.noise) - np.log(sigma))))

    def __call__(
        self,
        pictures: UInt8[np.ndarray, "t h w"],
        key: PRNGKeyArray,
        *,
        first: int,
        sources: Int64[np.ndarray, "t _ _"] | None = None,
        published: bool = False,
    ) -> UInt8[np.ndarray, "t h w"]:
        """Makes a clip.

        Args:
            pictures: as many as the network sees at once, see `maps.picture` and `colouring`.
            key: of all noise.
            first: the step that is begun with; later ones keep more of the pictures.
            sources: of the latents, see `carrying.sources` and `coarser`: noise is carried along;
                None: all frames have their own.
            published: begins with too little noise, see `injection.inject`.

        Raises:
            UserError: another number of pictures, or there is no such step.
        """
        window = self._generator.window_frames
        if len(pictures) != window:
            raise UserError(f"{len(pictures)} pictures of a clip: this generator takes {window}")
        latents = jnp.asarray(self._generator.encode(pictures))
        if sources is None:
            sources = np.full(latents.shape[:3], -1)
        draw = carrying.carrying(samplers.noise_from(key, latents.shape), sources)
        noise = draw(self.steps.count)  # None of it is drawn again by a step.
        start = injection.inject(
            jnp.asarray(latents), noise, self.steps, first, published=published
        )
        found = self._finish(self._variables, start, sources, key, first)
        return self._generator.decode(np.asarray(found))

    def _from_state(
        self, variables: Any, start: Array, sources: Array, key: Array, first: Array
    ) -> Array:
        """What the steps from `first` on make of a state; one program for all of them."""
        model = self._generator.model
        no = jnp.zeros(1, bool)
        nothing = padding.pad(jnp.zeros((1, *start.shape[1:])))
        condition = Condition(jnp.zeros(1), no, nothing, no)

        def network(state: Array, time: Array) -> Array:
            def seen(rows: Array, time: Array) -> Array:
                found: Any = model.apply(variables, rows, time[None], condition, method="predict")
                return found

            return padding.padded(seen)(state[None], time)[0]

        denoise = predictions.at_sigmas(network, predictions.V, self._table, clip=_CLIP)
        noise = samplers.noise_from(key, start.shape)
        sampler = samplers.heun(
            denoise,
            self.steps,
            lambda step: carrying.carried(noise(step), sources),
            self._churn,
        )

        def advance(number: Array, state: Array) -> Array:
            return sampler(state, number).state

        return jax.lax.fori_loop(first, self.steps.count, advance, start)


def _network(model: Any, variables: Any, guidance: float) -> sampling.WindowNetwork:
    """The video network, whose ejection fraction counts as much as asked."""

    def predict(rows: Array, times: Array, condition: Condition) -> Array:
        return model.apply(variables, rows, times, condition, method="predict")

    def guided(rows: Array, times: Array, condition: Condition) -> Array:
        without = condition._replace(known=jnp.zeros_like(condition.known))
        network = predictions.guided(
            lambda rows, times: predict(rows, times, condition),
            lambda rows, times: predict(rows, times, without),
            guidance,
        )
        return network(rows, times)

    return predict if guidance == 1 else guided
