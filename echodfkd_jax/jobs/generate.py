"""Stage `generate`: a generator that was learnt makes clips with the ejection fractions asked for.

Reads the run in `config.workdir`; writes a folder in the EchoNet layout with a manifest, see
`clips.generated`. Started again, it continues. A clip depends on the seed and its number only. What
was learnt from recorded clips makes clips that are no more free than those, see docs/generation.md.
"""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import tqdm
from jaxtyping import Array, Float, UInt, UInt8

from echodfkd_jax import files
from echodfkd_jax.clips.entries import FRAME_SIZE_PX
from echodfkd_jax.clips.generated import GeneratedClip, GeneratedFolder
from echodfkd_jax.datasets import prepared, recipe
from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import features
from echodfkd_jax.networks.diffusion.latent_video import Condition
from echodfkd_jax.runs import run_config
from echodfkd_jax.runs.generator import LoadedGenerator, load_generator
from echodfkd_jax.settings import GenerateSettings
from echodfkd_jax.synthesis.diffusion import (
    frames,
    padding,
    predictions,
    privacy,
    sampling,
    schedules,
    stitching,
)
from echodfkd_jax.types import Clips

# Standardised latents beyond it are the sampler's, not a heart's.
_CLIP = 5.0
# Eight of ten clips are to be learnt from, one to be validated on, one to be tested on; of three
# clips already each is for something else, as a data set needs all splits.
_SPLITS = ("TRAIN", "VAL", "TEST", *("TRAIN",) * 7)
# Clips per clip kept, after which the filter is not asked any longer.
_MOST_TRIES = 20


def run(config: ml_collections.ConfigDict) -> pathlib.Path:
    """Makes clips until as many as asked for are kept; prints where they are.

    Returns:
        The clips' folder.

    Raises:
        UserError: the run has no generator, the folder holds other clips, what the filter compares
            with is not there, or the disk is full.
    """
    settings = GenerateSettings.of(config.generate)
    generator = load_generator(config.workdir, settings.checkpoint)
    place = files.path_of(settings.output or files.path_of(config.workdir) / "generated")
    if files.is_bucket(place):
        raise UserError(f"config.generate.output={place}: clips are written to a local folder")
    folder = GeneratedFolder(pathlib.Path(place), _manifest(settings, generator))
    if len(folder.names) >= settings.num_clips:
        print(f"generate: already done: {len(folder.names)} clips in {folder.folder}")
        return folder.folder
    judge = _judge(run_config.load(config.workdir)) if settings.filter else None
    rejected = _fill(folder, settings, generator, judge)
    left_out = f", {rejected} left out by the filter" if settings.filter else ""
    print(f"generate: {len(folder.names)} clips in {folder.folder}{left_out}")
    print("  made by a network; for research, not for diagnosis")
    return folder.folder


def _manifest(settings: GenerateSettings, generator: LoadedGenerator) -> dict[str, Any]:
    """What decides the clips."""
    return {
        "generator": generator.fingerprint,
        "source": generator.source,
        "fps": generator.fps,
        **{
            field: getattr(settings, field)
            for field in (
                *("num_frames", "least_ef_percent", "most_ef_percent", "steps", "guidance"),
                *("filter", "seed"),
            )
        },
    }


def _fill(
    folder: GeneratedFolder,
    settings: GenerateSettings,
    generator: LoadedGenerator,
    judge: "_Filter | None",
) -> int:
    """Makes clips until there are enough, and returns how many were left out."""
    sample = _sampler(settings, generator)
    made = [folder.line(name)["number"] for name in folder.names]
    first, rejected = max(made, default=-1) + 1, 0
    with tqdm.tqdm(total=settings.num_clips, initial=len(made), unit="clip") as bar:
        while len(folder.names) < settings.num_clips:
            numbers = np.arange(first, first + settings.batch_size)
            clips, fractions = jax.device_get(sample(jnp.asarray(numbers, jnp.uint32)))
            found = None if judge is None else judge(clips)
            kept = []
            for row, number in enumerate(numbers.tolist()):
                if len(folder.names) + len(kept) == settings.num_clips:
                    break
                made_from: dict[str, Any] = {"number": number}
                if found is not None:
                    made_from["correlation"] = float(found.correlation[row])
                    if not found.kept[row]:
                        rejected += 1
                        continue
                kept.append(
                    GeneratedClip(
                        f"generated_{number:06d}",
                        clips[row],
                        generator.fps,
                        100 * float(fractions[row]),
                        _SPLITS[number % len(_SPLITS)],
                        made_from,
                    )
                )
            first = int(numbers[-1]) + 1
            folder.add(kept)
            bar.update(len(kept))
            if rejected >= _MOST_TRIES * (len(folder.names) + 1):
                raise UserError(
                    f"the filter left out {rejected} clips and kept {len(folder.names)}: the "
                    "generator repeats what it has seen; let it learn from more clips, or set "
                    "config.generate.filter=False"
                )
    return rejected


def _sampler(
    settings: GenerateSettings, generator: LoadedGenerator
) -> Callable[[Array], tuple[Array, Array]]:
    """Numbers to clips and their ejection fractions / 100, compiled."""
    model, latents = generator.model, generator.latents
    side = FRAME_SIZE_PX // 2 ** (len(model.widths) - 1)
    shape = (side, side, model.latent_channels)
    table = schedules.zero_terminal_snr(schedules.linear_alphas_cumprod())
    window = generator.window_frames
    draw = functools.partial(
        sampling.sample_clips,
        frame_shape=shape,
        alphas_cumprod=table,
        steps=schedules.trailing(table, settings.steps),
        clip=_CLIP,
    )
    first_window = stitching.plan(window, window, window // 2)
    all_windows = stitching.plan(settings.num_frames, window, window // 2)

    @jax.jit
    def sample(
        variables: Any, numbers: UInt[Array, "b"]
    ) -> tuple[UInt8[Array, "b f h w"], Float[Array, "b"]]:
        root = jax.random.key(settings.seed)
        keys = jax.vmap(lambda number: jax.random.split(jax.random.fold_in(root, number), 3))(
            numbers
        )
        fractions = sampling.drawn_fractions(
            keys[:, 0], settings.least_ef_percent, settings.most_ef_percent
        )
        network = _network(model, variables, settings.guidance)
        yes = jnp.ones(len(numbers), bool)
        nothing = padding.pad(jnp.zeros((len(numbers), *shape)))
        condition = Condition(fractions, yes, nothing, ~yes)
        found = draw(network, condition, keys[:, 1], first_window)
        if settings.num_frames > window:
            # A long clip is one heart: all of its windows are shown the same frame.
            still = padding.pad(found[:, 0])
            condition = Condition(fractions, yes, still, yes)
            found = draw(network, condition, keys[:, 2], all_windows)
        found = found[:, : settings.num_frames] * latents["std"] + latents["mean"]

        def decode(of_frame: Array) -> Array:
            signal: Any = model.apply(variables, of_frame, method="decode")
            return frames.to_grey(signal)[..., 0]

        grey = jax.lax.map(decode, jnp.moveaxis(found, 1, 0))
        return jnp.moveaxis(grey, 0, 1), fractions

    return functools.partial(sample, jax.device_put(generator.variables))


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


class _Filter:
    """Tells clips that resemble one that was learnt from, by the first frame of each."""

    def __init__(self, train: Clips, held_out: Clips) -> None:
        self._extract = features.open_extractor()
        embedded = [self._embed_all(train), self._embed_all(held_out)]
        # What all frames have in common says nothing about whose they are.
        self._common = embedded[0].mean(axis=0)
        self._train, self._held_out = (rows - self._common for rows in embedded)

    def __call__(self, clips: UInt8[np.ndarray, "b t h w"]) -> privacy.Filtered:
        generated = self._embed(clips[:, :1]) - self._common
        return privacy.filter_clips(generated, self._train, self._held_out)

    def _embed_all(self, clips: Clips) -> np.ndarray:
        rows = [self._embed(clips[index].frames[None, :1]) for index in range(len(clips))]
        return np.concatenate(rows)

    def _embed(self, pictures: UInt8[np.ndarray, "b 1 h w"]) -> np.ndarray:
        rows = self._extract(pictures)
        return rows[:, : rows.shape[1] // 2]  # The rest is how they change over time.


def _judge(config: ml_collections.ConfigDict) -> _Filter:
    """The filter, from the clips that the generator of a run's configuration learnt from."""
    folder = prepared.directory(recipe.fields_of(config), config.teacher.to_dict())
    train, held_out = (prepared.open_split(folder, split) for split in ("train", "validation"))
    return _Filter(train, held_out)
