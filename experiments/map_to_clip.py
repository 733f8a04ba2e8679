"""From moving maps of structures to clips, by a learned generator that never saw a map.

    python -m experiments.map_to_clip RUN [--maps=8] [--sigmas 0.5 1 2 5 20] [--figures=FOLDER]

RUN is a run of `configs/diffusion.py`, of any size, whose data set is still there. The maps are
those of new hearts of the phantom, exact in every frame, at the generator's frame rate and as long
as its window; as pictures (`maps`) their grey values are moved to those of a training clip's frame
(`colouring`). The network works on latents: the pictures are encoded, and noise is injected and
taken out there, at EDM's levels; `runs.sampling.PictureSampler` says how, and what a sigma means.

Every level is tried with the published start, whose noise is too little for its level, and with the
repaired one; with noise that is independent in all frames, and with noise that is carried along
with the tissue (in latents, each as large as eight by eight pixels). The table has, as means over
clips and frames,

    Dice      of the map's cavity and the shipped teacher's mask on the clip, refined as predict
              does it; and of the same mask and the next map's cavity, which is what a clip has that
              follows no map: the teacher outlines something in any clip
    flicker   absolute difference, of 255, between a pixel and the pixel of the frame before that
              shows the same tissue; of pixels of the sector that show no blood in both frames, and
              whose tissue the frame before shows within 0.75 pixels

and first the same of what bounds them: the filmed phantom, whose speckle moves with its tissue, the
pictures of the maps, and these through the auto-encoder alone, which is what no noise gives.
"""

import argparse
import functools
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from benchmarks import timing  # noqa: F401  (configures JAX as main.py does)
from echodfkd_jax.evaluation import segmentation
from echodfkd_jax.masks import MASK_THRESHOLD
from echodfkd_jax.reporting import plots
from echodfkd_jax.runs.generator import LoadedGenerator, load_generator
from echodfkd_jax.runs.sampling import PICTURE_STEPS, PictureSampler
from echodfkd_jax.synthesis import FRAME_SIZE, STRUCTURES
from echodfkd_jax.synthesis.diffusion import carrying, frames, maps
from echodfkd_jax.synthesis.diffusion.colouring import colouring
from echodfkd_jax.synthesis.phantom import acquisition, motion
from echodfkd_jax.synthesis.phantom.clip import render, sample_scene
from experiments import generator_runs
from experiments.generator_runs import Outliner, table

# Of the maps; no data set has it.
SEED = 41
# Frames per second of the fastest of the phantom's clips, rounded up.
FASTEST_FPS = 80.0
SIGMAS = (0.5, 1.0, 2.0, 5.0, 20.0)
CHAMBERS = ("lv", "la", "rv", "ra")
# Frames of a clip in the figure.
COLUMNS = 6


class Case(NamedTuple):
    """A moving map.

    Attributes:
        filmed: uint8 (t, h, w), the phantom's own clip of it.
        pictures: uint8 (t, h, w), of the map.
        cavity: bool (t, h, w), the left ventricle's.
        tissue: bool (t, h, w), what is in the sector and no blood.
        points: (t, h, w, 2), where the tissue lies at rest.
    """

    filmed: np.ndarray
    pictures: np.ndarray
    cavity: np.ndarray
    tissue: np.ndarray
    points: np.ndarray


def cases(count: int, num_frames: int, fps: float, reference: np.ndarray) -> Iterator[Case]:
    """Maps of the phantom.

    Args:
        count: of maps.
        num_frames: of each.
        fps: frames per second that they are brought to.
        reference: grey frame, uint8 (h, w), to whose grey values those of the pictures are moved.
    """
    length = int(np.ceil(num_frames * FASTEST_FPS / fps))

    @jax.jit
    def film(key: jax.Array) -> Any:
        scene = sample_scene(key, num_frames=length)
        y, x = jnp.mgrid[:FRAME_SIZE, :FRAME_SIZE] * 1.0
        sector = acquisition.in_view(scene.sector, x, y)
        points = motion.points_at_rest(scene.heart, scene.movement, scene.pose, FRAME_SIZE)
        return render(scene), sector, points

    for number in range(count):
        key = jax.random.fold_in(jax.random.key(SEED), number)
        made, sector, points = jax.device_get(film(key))
        at = frames.resample(length, float(made.fps), fps)[:num_frames]
        structures = made.structures[at]
        shown = maps.StructureMap(structures, STRUCTURES, sector)
        picture = maps.picture(shown)
        colour = colouring(picture[0], reference / 255.0, np.random.default_rng(number))
        # What is outside of the sector stays black.
        coloured = np.where(sector, colour(picture), np.float32(0))
        blood = structures[..., [STRUCTURES.index(name) for name in CHAMBERS]].any(axis=-1)
        yield Case(
            made.frames[at],
            np.rint(255 * coloured).astype(np.uint8),
            structures[..., STRUCTURES.index("lv")],
            sector & ~blood,
            points[at],
        )


def flicker(clip: np.ndarray, case: Case) -> float:
    """See above; nan where no tissue is seen in two frames one after the other."""
    differences = []
    for number in range(1, len(clip)):
        both = slice(number - 1, number + 1)
        source = carrying.sources(case.points[both])[1].ravel()
        before, now = (each.ravel().astype(float) for each in clip[both])
        tissue_before, tissue_now = (each.ravel() for each in case.tissue[both])
        followed = tissue_now & (source >= 0) & tissue_before[source]
        differences.append(np.abs(now - before[source])[followed])
    return float(np.concatenate(differences).mean()) if sum(map(len, differences)) else np.nan


def dice(mask: np.ndarray, cavity: np.ndarray) -> float:
    """See above, of masks (t, h, w)."""
    return float(segmentation.dice(mask, cavity).mean())


class Trial(NamedTuple):
    """A way from pictures to a clip.

    Attributes:
        first: the step of the sampler that is begun with.
        published: whether the noise of its level is left out.
        carried: whether noise is carried along with the tissue.
    """

    first: int
    published: bool
    carried: bool


def make(sampler: PictureSampler, factor: int, trial: Trial, number: int, case: Case) -> np.ndarray:
    """A clip of a map; the same noise for the same number.

    Args:
        sampler: of the run's generator.
        factor: pixels of a frame along a latent's side.
        trial: how.
        number: of the map.
        case: the map.
    """
    sources = carrying.sources(carrying.coarser(case.points, factor)) if trial.carried else None
    return sampler(
        case.pictures,
        jax.random.fold_in(jax.random.key(SEED + 1), number),
        first=trial.first,
        sources=sources,
        published=trial.published,
    )


def judge(
    generator: LoadedGenerator,
    some: Sequence[Case],
    outline: Outliner,
    *,
    sigmas: Sequence[float],
    num_steps: int,
) -> tuple[list[dict[str, Any]], Mapping[str, np.ndarray]]:
    """Tries all ways on all maps.

    Returns:
        Rows of the table, and clips of the first map by what they are called in the figure.
    """
    sampler = PictureSampler(generator, num_steps)
    ways: list[tuple[dict[str, Any], Callable[[int, Case], np.ndarray]]] = [
        ({"clip": "filmed phantom"}, lambda _, case: case.filmed),
        ({"clip": "picture of the map"}, lambda _, case: case.pictures),
        (
            {"clip": "auto-encoder alone"},
            lambda _, case: generator.decode(generator.encode(case.pictures)),
        ),
    ]
    for first in sorted({sampler.step_at(sigma) for sigma in sigmas}, reverse=True):
        for published in (True, False):
            for carried in (False, True):
                fields = {
                    "clip": "from the map",
                    "sigma": float(sampler.steps.noise[first]),
                    "start": "published" if published else "repaired",
                    "noise": "carried" if carried else "independent",
                }
                trial = Trial(first, published, carried)
                way = functools.partial(make, sampler, generator.pixels_of_latent, trial)
                ways.append((fields, way))
    rows, shown = [], {}
    for fields, way in tqdm.tqdm(ways, unit="way"):
        clips = [way(number, case) for number, case in enumerate(some)]
        masks = [outline(clip, generator.fps) > MASK_THRESHOLD for clip in clips]
        cavities = [case.cavity for case in some]
        others = [*cavities[1:], cavities[0]] if len(some) > 1 else []
        found = {
            "Dice": float(np.mean([dice(*pair) for pair in zip(masks, cavities)])),
            "Dice, other map": (
                float(np.mean([dice(*pair) for pair in zip(masks, others)])) if others else None
            ),
            "flicker": float(np.nanmean([flicker(*pair) for pair in zip(clips, some)])),
        }
        rows.append({"sigma": None, "start": "-", "noise": "-", **fields, **found})
        if fields.get("noise") != "carried":
            sigma = f"{fields['start']}, sigma {fields['sigma']:.2g}" if "sigma" in fields else ""
            shown[sigma or fields["clip"]] = clips[0]
    return rows, shown


def draw(path: pathlib.Path, shown: Mapping[str, np.ndarray]) -> None:
    """Writes the figure: a row of frames for every clip, and what it is beside them."""
    with plots.drawing("light", (7.5, 0.95 * len(shown))) as (figure, (axis,)):
        at = np.linspace(0, len(next(iter(shown.values()))) - 1, COLUMNS).round().astype(int)
        rows = [np.concatenate(list(clip[at]), axis=1) for clip in shown.values()]
        axis.imshow(np.concatenate(rows), cmap="gray", vmin=0, vmax=255)
        middles = FRAME_SIZE * (np.arange(len(rows)) + 0.5)
        axis.set_yticks(middles, list(shown))
        axis.set_xticks([])
        axis.grid(False)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(plots.to_png(figure))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--maps", type=int, default=8)
    parser.add_argument("--sigmas", type=float, nargs="+", default=SIGMAS)
    parser.add_argument("--steps", type=int, default=PICTURE_STEPS, help="of the whole sampler")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--figures", type=pathlib.Path)
    options = parser.parse_args()
    if options.maps < 1 or min(options.sigmas) <= 0:
        parser.error("expected 1 map or more, and sigmas above 0")
    generator = load_generator(options.run)
    reference = generator_runs.open_splits(options.run)["train"][0].frames[0]
    some = list(cases(options.maps, generator.window_frames, generator.fps, reference))
    outline = generator_runs.shipped_outliner()
    rows, shown = judge(generator, some, outline, sigmas=options.sigmas, num_steps=options.steps)
    print(f"{generator.fingerprint}, {generator.source}\n")
    header = ("clip", "sigma", "start", "noise", "Dice", "Dice, other map", "flicker")
    title = f"From the map to the clip, {options.maps} maps"
    print(table(title, header, [[row[name] for name in header] for row in rows]))
    if options.figures:
        draw(options.figures / "map_to_clip.png", shown)
    if options.json:
        generator_runs.write_json(
            options.json, {"generator": generator.fingerprint, "maps": options.maps, "rows": rows}
        )


if __name__ == "__main__":
    main()
