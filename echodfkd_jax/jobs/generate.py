"""Stage `generate`: a generator that was learnt makes clips with the ejection fractions asked for.

Reads the run in `config.workdir`; writes a folder in the EchoNet layout with a manifest, see
`clips.generated`. Started again, it continues. A clip depends on the seed and its number only. What
was learnt from recorded clips makes clips that are no more free than those, see docs/generation.md.
"""

import pathlib
from typing import Any

import jax.numpy as jnp
import ml_collections
import numpy as np
import tqdm

from echodfkd_jax import files
from echodfkd_jax.clips.generated import GeneratedClip, GeneratedFolder
from echodfkd_jax.datasets import prepared, recipe
from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation.clip_filter import ClipFilter
from echodfkd_jax.runs import run_config, sampling
from echodfkd_jax.runs.generator import LoadedGenerator, load_generator
from echodfkd_jax.settings import GenerateSettings
from echodfkd_jax.synthesis.diffusion.sampling import drawn_fractions

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
    judge: ClipFilter | None,
) -> int:
    """Makes clips until there are enough, and returns how many were left out."""
    sample = sampling.clip_sampler(
        generator,
        num_frames=settings.num_frames,
        steps=settings.steps,
        guidance=settings.guidance,
    )
    made = [folder.line(name)["number"] for name in folder.names]
    first, rejected = max(made, default=-1) + 1, 0
    with tqdm.tqdm(total=settings.num_clips, initial=len(made), unit="clip") as bar:
        while len(folder.names) < settings.num_clips:
            numbers = np.arange(first, first + settings.batch_size)
            keys = sampling.keys_of(settings.seed, jnp.asarray(numbers, jnp.uint32))
            fractions = drawn_fractions(
                keys[:, 0], settings.least_ef_percent, settings.most_ef_percent
            )
            clips = np.asarray(sample(keys, fractions))
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


def _judge(config: ml_collections.ConfigDict) -> ClipFilter:
    """The filter, from the clips that the generator of a run's configuration learnt from."""
    folder = prepared.directory(recipe.fields_of(config), config.teacher.to_dict())
    train, held_out = (prepared.open_split(folder, split) for split in ("train", "validation"))
    return ClipFilter(train, held_out)
