"""How good the clips of a learned generator are; prints markdown tables.

    python -m experiments.generated_clips RUN [--k=3] [--clips=DIR] [--json=FILE] [--figures=DIR]

RUN is a run of `configs/diffusion.py`, of any size, whose data set is still there; --clips has the
clips of its `--stage=generate`, `RUN/generated` where none is named.

1. The ejection fraction that was asked for against the one that the shipped teacher's masks have,
   refined as predict does it: of the beats that are found in a clip (as predict reports it), and of
   the frames of its largest and smallest mask (as the phantom's are labelled). "single noise": the
   folder's clips. "best of k": of k clips that were asked for alike, the folder's and k - 1 with
   other seeds, the one whose measured ejection fraction is nearest to the one asked for, chosen
   anew for every row; that is a choice by what is measured, and says nothing of a single clip.
   Held-out clips at the generator's frame rate say how well it can be measured at all, clips of an
   untrained network what the masks of no heart give. "r by chance" is of the same clips with what
   was asked for exchanged between them, and p how often r is as large then; the teacher outlines
   something in any clip, and the choice of the best of k makes r larger by itself.
2. Frechet distances to the data set's test split, of single frames and of clips as long as the
   generator's window, by the project's own features. All sets have as many clips, shorter clips
   are left out, and distances of other numbers of clips are not comparable. Validation clips are
   the floor; training clips, some of them seen through poor windows, are what was to be learnt.
3. What the privacy filter says: training clips that are handed in as if they had been generated
   have to be rejected, as they are and through the auto-encoder.
4. The nearest training clip by the same features, and how many are closer than held-out ones.
"""

import argparse
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import tqdm

from benchmarks import timing  # noqa: F401  (configures JAX as main.py does)
from echodfkd_jax import files, types
from echodfkd_jax.clips import echonet
from echodfkd_jax.clips.generated import MANIFEST, GeneratedFolder
from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import features, neighbours
from echodfkd_jax.evaluation.clip_filter import ClipFilter
from echodfkd_jax.evaluation.feature_distances import frechet
from echodfkd_jax.reporting import plots
from echodfkd_jax.runs import provenance, sampling
from echodfkd_jax.runs.generator import LoadedGenerator, load_generator
from experiments import generator_runs
from experiments.generated_ef import WAYS, best_of, ef_rows, measure_all
from experiments.generator_runs import at_rate, table

# Frames of each clip in the distance of frames.
FRAMES_OF_CLIP = 4
# Training clips that are handed to the filter as if they had been generated.
NUM_PLANTED = 20
# Clips and frames of a figure.
ROWS, COLUMNS = 6, 8

Clips = Sequence[np.ndarray]


class Made(NamedTuple):
    """A folder of generated clips.

    Attributes:
        clips: uint8 (t, h, w).
        numbers: (n,), of which they were drawn.
        asked: (n,), ejection fraction in percent.
        manifest: what made them.
    """

    clips: Clips
    numbers: np.ndarray
    asked: np.ndarray
    manifest: Mapping[str, Any]


def read_made(folder: pathlib.Path, generator: LoadedGenerator) -> Made:
    """Reads the clips of a generator.

    Raises:
        UserError: there are none, or another one made them.
    """
    try:
        manifest = files.read_json(folder / MANIFEST, "run --stage=generate")
    except FileNotFoundError as error:
        raise UserError(f"{folder}: no generated clips; run --stage=generate first") from error
    if manifest["generator"] != generator.fingerprint:
        raise UserError(
            f"{folder}: its clips are of {manifest['generator']}, the run's generator is "
            f"{generator.fingerprint}; run --stage=generate into another folder"
        )
    made = GeneratedFolder(folder, manifest)
    lines = {name: made.line(name) for name in made.names}
    found = [(clip.frames, lines[clip.name]) for clip in echonet.open_folder(folder)]
    return Made(
        [frames for frames, _ in found],
        np.array([line["number"] for _, line in found]),
        np.array([line["ef_percent"] for _, line in found], np.float64),
        manifest,
    )


def sample(generator: LoadedGenerator, made: Made, *, seed: int, batch_size: int) -> Clips:
    """Clips with the ejection fractions of a folder's, drawn with another seed."""
    of = made.manifest
    draw = sampling.clip_sampler(
        generator, num_frames=of["num_frames"], steps=of["steps"], guidance=of["guidance"]
    )
    clips: list[np.ndarray] = []
    for start in tqdm.trange(0, len(made.numbers), batch_size, unit="batch"):
        rows = np.arange(start, start + batch_size) % len(made.numbers)  # All batches are full.
        keys = sampling.keys_of(seed, jnp.asarray(made.numbers[rows], jnp.uint32))
        clips += list(np.asarray(draw(keys, jnp.asarray(made.asked[rows] / 100, jnp.float32))))
    return clips[: len(made.numbers)]


class Embedded(NamedTuple):
    """Features of clips.

    Attributes:
        frames: (n * FRAMES_OF_CLIP, d), of single frames.
        clips: (n, d), of clips.
    """

    frames: np.ndarray
    clips: np.ndarray


def embed(extract: features.FeatureExtractor, clips: Clips) -> Embedded:
    """Features of clips of equal length."""
    at = np.linspace(0, len(clips[0]) - 1, FRAMES_OF_CLIP).round().astype(int)
    bar = tqdm.tqdm(clips, "features", unit="clip")
    rows = [(extract(clip[at][:, None]), extract(clip[None])) for clip in bar]
    return Embedded(*(np.concatenate(each) for each in zip(*rows)))


def frechet_rows(sets: Mapping[str, Embedded], reference: Embedded) -> list[dict[str, Any]]:
    """Distances of every set to the reference; the first clips of each, all as many."""
    count = min(len(each.clips) for each in (reference, *sets.values()))
    few = count * FRAMES_OF_CLIP
    return [
        {
            "set": name,
            "clips": count,
            "of frames": frechet(each.frames[:few], reference.frames[:few]).distance,
            "of clips": frechet(each.clips[:count], reference.clips[:count]).distance,
        }
        for name, each in sets.items()
    ]


def filter_rows(
    judge: ClipFilter,
    sets: Mapping[str, Clips],
    counts: Mapping[str, tuple[int, int]] | None = None,
) -> list[dict[str, Any]]:
    """How many clips of every set the filter rejects.

    Args:
        judge: the filter.
        sets: clips, of which the first frame is looked at.
        counts: (all, rejected) of what was filtered before.
    """
    found = {
        name: (len(clips), int((~judge(np.stack([clip[:1] for clip in clips])).kept).sum()))
        for name, clips in sets.items()
        if len(clips)
    }
    return [
        {"clips of": name, "clips": number, "rejected": rejected, "kept": 1 - rejected / number}
        for name, (number, rejected) in {**found, **(counts or {})}.items()
    ]


def long_enough(clips: types.Clips, fps: float, num_frames: int, most: int | None = None) -> Clips:
    """The first frames of clips at a frame rate, of those that have as many."""
    found: list[np.ndarray] = []
    for number in range(len(clips)):
        if len(found) == most:
            break
        frames = at_rate(clips[number], fps)
        if len(frames) >= num_frames:
            found.append(frames[:num_frames])
    return found


def first_frames(clips: types.Clips) -> Clips:
    """The first frame, (1, h, w), of the first `NUM_PLANTED` clips."""
    return [clips[number].frames[:1] for number in range(min(NUM_PLANTED, len(clips)))]


def through_latents(generator: LoadedGenerator, clips: Clips) -> Clips:
    """What the auto-encoder makes of clips."""
    return [generator.decode(generator.encode(np.ascontiguousarray(clip))) for clip in clips]


def draw(
    folder: pathlib.Path,
    made: Made,
    efs: Mapping[str, np.ndarray],
    generated: Clips,
    closest: tuple[Clips, np.ndarray],
) -> None:
    """Writes the figures.

    Args:
        folder: of the files.
        made: the clips.
        efs: measured ejection fractions (n, ways), by the name of the file.
        generated: the clips, as long as a window.
        closest: the training clip nearest to each, and its distance.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, measured in efs.items():
        points = {"teacher": measured[:, WAYS.index("extremes, disks")]}
        png = plots.ejection_fractions(made.asked, points, label="asked for")
        (folder / f"{name}.png").write_bytes(png)
    # A window is about a beat.
    at = np.linspace(0, len(generated[0]) - 1, COLUMNS).round().astype(int)
    chosen = np.argsort(made.asked[: len(generated)])[:: max(len(generated) // ROWS, 1)][:ROWS]
    generator_runs.write_strip(folder / "clips.png", [generated[row][at] for row in chosen])
    nearest, distance = closest
    rows = [[generated[row][0] for row in chosen], [nearest[row][0] for row in chosen]]
    titles = [f"{distance[row]:.2f}" for row in chosen]
    generator_runs.write_strip(folder / "neighbours.png", rows, titles)


def judge_run(
    workdir: pathlib.Path,
    clips: pathlib.Path | None,
    figures: pathlib.Path | None,
    *,
    k: int = 1,
    batch_size: int = 4,
) -> dict[str, Any]:
    """All numbers of a run; prints nothing."""
    generator = load_generator(workdir)
    made = read_made(clips or workdir / "generated", generator)
    splits = generator_runs.open_splits(workdir)
    fps, window, seed = generator.fps, generator.window_frames, made.manifest["seed"]
    others = [
        sample(generator, made, seed=seed + number, batch_size=batch_size) for number in range(1, k)
    ]
    outline = generator_runs.shipped_outliner()
    measured = np.stack([measure_all(outline, each, fps) for each in (made.clips, *others)])
    test = [splits["test"][number] for number in range(len(splits["test"]))]
    exact = np.array([clip.ef_percent for clip in test])
    sets = {"generated, single noise": (made.asked, measured[:1])}
    efs = {"ef_single_noise": measured[0]}
    if k > 1:
        sets[f"generated, best of {k}"] = (made.asked, measured)
        columns = [best_of(made.asked, measured[..., way]) for way in range(len(WAYS))]
        efs[f"ef_best_of_{k}"] = np.stack(columns, -1)
    at_test = [at_rate(clip, fps) for clip in test]
    sets["held out, exact"] = (exact, measure_all(outline, at_test, fps)[None])

    generated = [clip[:window] for clip in made.clips if len(clip) >= window]
    if len(generated) < len(made.clips):
        raise UserError(f"clips of fewer than {window} frames, the generator's window; make longer")
    held_out = [clip[:window] for clip in at_test if len(clip) >= window]
    train = long_enough(splits["train"], fps, window)
    raw = sample(generator_runs.untrained(generator, seed), made, seed=seed, batch_size=batch_size)
    sets["untrained network"] = (made.asked, measure_all(outline, raw, fps)[None])
    extract = features.open_extractor()
    embedded = {
        "generated": embed(extract, generated),
        "untrained network": embed(extract, [clip[:window] for clip in raw]),
        "test clips through the auto-encoder": embed(extract, through_latents(generator, held_out)),
        "training clips": embed(extract, train),
        "validation clips (floor)": embed(extract, long_enough(splits["validation"], fps, window)),
    }
    reference = embed(extract, held_out)
    closest = neighbours.nearest(embedded["generated"].clips, embedded["training clips"].clips)
    if figures:
        nearest = [train[row] for row in closest.nearest]
        draw(figures, made, efs, generated, (nearest, closest.distance))
    planted = first_frames(splits["train"])
    judged = {
        "planted: training clips": planted,
        "planted: training clips through the auto-encoder": through_latents(generator, planted),
        "test": [clip.frames[:1] for clip in test],
        **{f"generated, seed {seed + number}": each for number, each in enumerate(others, 1)},
    }
    counts = {}
    if made.manifest["filter"]:  # What is there was kept already; numbers count what was made.
        number = int(made.numbers.max()) + 1
        counts["generated, all that were made"] = (number, number - len(made.numbers))
    else:
        judged["generated"] = made.clips
    memory = neighbours.memorisation(
        embedded["generated"].clips, embedded["training clips"].clips, reference.clips
    )
    return {
        "generator": generator.fingerprint,
        "source": generator.source,
        "manifest": dict(made.manifest),
        "features": extract.fingerprint,
        "commit": provenance.commit(),
        "ejection fraction": ef_rows(sets),
        "frechet": frechet_rows(embedded, reference),
        "filter": filter_rows(ClipFilter(splits["train"], splits["validation"]), judged, counts),
        "memorisation": {
            **memory._asdict(),
            "median distance": float(np.median(closest.distance)),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--clips", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--figures", type=pathlib.Path)
    parser.add_argument("--k", type=int, default=1, help="clips of which the best one is chosen")
    parser.add_argument("--batch_size", type=int, default=4, help="clips that are made at once")
    options = parser.parse_args()
    if options.k < 1:
        parser.error(f"--k={options.k}: expected 1 or more")
    found = judge_run(
        options.run, options.clips, options.figures, k=options.k, batch_size=options.batch_size
    )
    print(f"{found['generator']}, {found['source']}\n")
    for title in ("ejection fraction", "frechet", "filter"):
        rows = found[title]
        print(table(title.capitalize(), list(rows[0]), [list(row.values()) for row in rows]))
    memory = found["memorisation"]
    print(table("Memorisation", list(memory), [list(memory.values())]))
    if options.json:
        generator_runs.write_json(options.json, found)


if __name__ == "__main__":
    main()
