"""Whether generated pictures help networks that see few real ones, on stills of CAMUS.

    python -m experiments.diffecho TRAIN.npz STILLS.npz WORK [--patients=35]

DiffEcho's downstream question at a size for two CPU cores. A small diffusion model learns pictures
from the maps and phases of TRAIN.npz and makes new ones of deformed maps. Networks that outline,
and networks that tell ED from ES, then learn from real pictures, from generated ones and from both,
and are scored on STILLS.npz, other patients. `--patients` leaves so many real patients, to the
generator too. Prints tables, mean and standard deviation over seeds; WORK gets them as `tables.md`
and `tables.json`, besides the weights, `generated.npz` and `pictures.png` (real, map, generated).
What is there is not made again: started once more, the command goes on where it was.

Both files are in the layout that `experiments/camus_stills.py` describes, with all structures.
CAMUS (Leclerc et al., IEEE TMI 2019) is CC BY-NC-SA 4.0 and no part of this project: nothing that
has seen it, pictures and weights in WORK included, is shipped with it or may be used commercially.
Research software: no number here may guide care.
"""

import argparse
import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import cv2
import jax.numpy as jnp
import numpy as np

from benchmarks import timing  # noqa: F401  (configures JAX as main.py does)
from echodfkd_jax import files
from echodfkd_jax.errors import UserError
from experiments import diffecho_judges as judges
from experiments import diffecho_pictures as generation
from experiments import labelled_pictures as labelled
from experiments.camus_stills import PHASES, Stills, read_stills
from experiments.labelled_pictures import STRUCTURES, Pictures

NUM_SEEDS = 3
# Of options that are not 1 or more.
LEAST = {"seed": 0, "patients": 0, "sampling_steps": 2}
# Columns of the picture, and how much it is enlarged.
COLUMNS, ENLARGED = 8, 2
# Names of columns of the tables.
TITLES = {"lv": "LV", "lv_myocardium": "myocardium", "la": "atrium", "auc": "AUC"}


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is learnt and made.

    Attributes:
        patients: real ones, of those in the file; 0: all.
        seed: of who they are, the generator, and its pictures.
        steps: of the generator.
        batch: pictures in each of its steps.
        widths: channels of its levels.
        count: pictures that it makes.
        sampling_steps: of each; every one but the last asks the network twice.
        judge_steps: of every network that is scored.
        judge_batch: pictures in each of them.
        outline_channels: levels of the network that outlines.
        phase_channels: of the network that tells ED from ES.
    """

    patients: int = 0
    seed: int = 0
    steps: int = 2400
    batch: int = 8
    widths: tuple[int, ...] = (24, 48, 64, 96)
    count: int = 700
    sampling_steps: int = 16
    judge_steps: int = 1000
    judge_batch: int = 8
    outline_channels: tuple[int, ...] = (16, 32, 64, 128)
    phase_channels: tuple[int, ...] = (16, 32, 64, 64)


# Every stage and every file; the pictures look like nothing.
SMOKE = Sizes(
    steps=3,
    batch=2,
    widths=(8,),
    count=3,
    sampling_steps=2,
    judge_steps=3,
    judge_batch=2,
    outline_channels=(2,),
    phase_channels=(2,),
)


def read(path: pathlib.Path) -> Stills:
    """Stills with all structures, of sides that every network here can halve.

    Raises:
        UserError: the file cannot be read, or is not of that kind.
    """
    stills = read_stills(path)
    missing = [name for name in STRUCTURES if name not in stills.masks]
    if missing:
        raise UserError(f"{path}: has no outlines of {missing[0]!r}; expected all structures")
    height, width = stills.frames.shape[1:]
    if height % 16 or width % 16:
        raise UserError(f"{path}: pictures of {height} x {width}; expected multiples of 16")
    if not len(stills.frames):
        raise UserError(f"{path}: has no pictures; expected one or more")
    return stills


def some_patients(stills: Stills, count: int, seed: int) -> np.ndarray:
    """Numbers of the pictures of so many patients, drawn by chance; 0: of all.

    Raises:
        UserError: there are not so many.
    """
    names = np.unique(stills.patient)
    if not 0 <= count <= len(names):
        raise UserError(f"--patients={count}: expected 1 to {len(names)}, those of the file")
    drawn = np.random.default_rng(seed).permutation(names)[: count or len(names)]
    return np.flatnonzero(np.isin(stills.patient, drawn))


def begin(work: pathlib.Path, settings: Mapping[str, Any]) -> None:
    """Notes what the folder is of.

    Raises:
        UserError: it is of something else.
    """
    path = work / "settings.json"
    wanted = files.plain(settings)
    if not path.exists():
        files.write_json(path, wanted)
        return
    found = files.read_json(path, "name another folder")
    for name in wanted:
        if found.get(name) != wanted[name]:
            raise UserError(
                f"{work}: was begun with {name}={found.get(name)}, not {wanted[name]}; "
                "name another folder"
            )


def learnt(work: pathlib.Path, real: Pictures, sizes: Sizes) -> generation.Generator:
    """The generator, trained unless it is there."""
    path = work / "generator.safetensors"
    if not path.exists():
        generator = generation.train(
            real, sizes.widths, steps=sizes.steps, batch=sizes.batch, seed=sizes.seed
        )
        generation.save_generator(path, generator)
    return generation.load_generator(path)


def generated(work: pathlib.Path, stills: Stills, chosen: np.ndarray, sizes: Sizes) -> Pictures:
    """Pictures of the generator, made unless they are there, with the strip that shows some."""
    path = work / "generated.npz"
    if not path.exists():
        real = _only(labelled.of_stills(stills), chosen)
        made, map_of = generation.make(
            learnt(work, real, sizes),
            sizes.widths,
            real,
            count=sizes.count,
            sampling_steps=sizes.sampling_steps,
            seed=sizes.seed,
        )
        files.write_bytes(work / "pictures.png", strip(real, made, map_of))
        generation.save_pictures(path, made, chosen[map_of], sizes.seed)
    return labelled.of_stills(read_stills(path))


def strip(real: Pictures, made: Pictures, map_of: np.ndarray) -> bytes:
    """A PNG: real pictures, below them their maps after deformation, and what was made of those."""
    columns = np.unique(np.linspace(0, len(map_of) - 1, COLUMNS).astype(int))
    greys = np.array([0, 255, 128, 192], np.uint8)
    rows = (
        np.asarray(real.frames)[map_of[columns]],
        greys[np.asarray(made.labels)[columns]],
        np.asarray(made.frames)[columns],
    )
    picture = np.concatenate([np.concatenate(list(row), 1) for row in rows])
    large = picture.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)
    return cv2.imencode(".png", large)[1].tobytes()


def judged(
    work: pathlib.Path, pictures: Mapping[str, Pictures], stills: Stills, sizes: Sizes, seeds: int
) -> dict[str, dict[str, list[dict[str, float]]]]:
    """Numbers by question and set, one for each seed; those that are there are read."""
    questions = (
        judges.outlining(sizes.outline_channels),
        judges.telling_phases(sizes.phase_channels),
    )
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for question in questions:
        judge = judges.Judge(question, steps=sizes.judge_steps, batch=sizes.judge_batch)
        of_sets = found[question.name] = {which: [] for which in judges.SETS}
        for seed in range(seeds):
            for which in judges.SETS:
                path = work / "judged" / f"{question.name}-{which}-{seed}.json"
                if not path.exists():
                    variables = judge.train(pictures, which, seed)
                    files.write_json(path, judge.score(variables, stills))
                of_sets[which].append(files.read_json(path, "delete it"))
    return found


def table(of_sets: Mapping[str, list[dict[str, float]]]) -> str:
    """Markdown: a line for each set, mean and standard deviation over seeds."""
    names = list(next(iter(of_sets.values()))[0])
    titles = [" ".join(TITLES.get(part, part) for part in name.split("/")) for name in names]
    lines = ["| trained on | " + " | ".join(titles) + " |", "|---" * (1 + len(names)) + "|"]
    for which, runs in of_sets.items():
        cells = ["{:.3f} ± {:.3f}".format(*summary(runs, name)) for name in names]
        lines.append(f"| {which} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def summary(runs: list[dict[str, float]], name: str) -> tuple[float, float]:
    """Mean and standard deviation over seeds (nan for one seed alone)."""
    values = np.array([run[name] for run in runs], float)
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def answer(options: argparse.Namespace, sizes: Sizes) -> str:
    """Does what is not done yet and gives the tables.

    Raises:
        UserError: a file or an option is wrong, or the folder is of other settings.
    """
    train, stills = read(options.train), read(options.stills)
    chosen = some_patients(train, sizes.patients, sizes.seed)
    common = np.intersect1d(train.patient, stills.patient)
    if len(common):
        raise UserError(f"{options.stills}: {common[0]} is in {options.train} too")
    if train.frames.shape[1:] != stills.frames.shape[1:]:
        raise UserError(f"{options.stills}: pictures of another size than in {options.train}")
    hashes = {name: files.sha256_of(getattr(options, name)) for name in ("train", "stills")}
    begin(options.work, dataclasses.asdict(sizes) | hashes)
    pictures = {
        "real": _only(labelled.of_stills(train), chosen),
        "generated": generated(options.work, train, chosen, sizes),
    }
    found = judged(options.work, pictures, stills, sizes, options.seeds)
    sentence = (
        f"{len(np.unique(train.patient[chosen]))} real patients ({len(chosen)} pictures), "
        f"{sizes.count} generated pictures, {sizes.judge_steps} steps; scored on "
        f"{len(np.unique(stills.patient))} patients; mean ± standard deviation of {options.seeds} "
        "seeds. Trained and scored on CAMUS (CC BY-NC-SA 4.0)."
    )
    text = "\n\n".join(
        (
            sentence,
            "Dice by structure and phase:",
            table(found["segmentation"]),
            f"Whether a picture shows {' or '.join(PHASES)}:",
            table(found["phase"]),
        )
    )
    content = {"settings": dataclasses.asdict(sizes) | hashes, "seeds": options.seeds} | found
    files.write_json(options.work / "tables.json", content)
    files.write_text(options.work / "tables.md", text + "\n")
    return text


def _only(pictures: Pictures, chosen: np.ndarray) -> Pictures:
    return Pictures(*(array[jnp.asarray(chosen)] for array in pictures))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("train", "stills", "work"):
        parser.add_argument(name, type=pathlib.Path, metavar=name.upper())
    changed = ("patients", "seed", "steps", "batch", "count", "sampling_steps", "judge_steps")
    for name in changed:
        parser.add_argument(f"--{name}", type=int, help=f"default {getattr(Sizes, name)}")
    parser.add_argument("--seeds", type=int, default=NUM_SEEDS, help="of the networks scored")
    parser.add_argument("--smoke", action="store_true", help="sizes that learn nothing")
    options = parser.parse_args()
    given = {name: getattr(options, name) for name in changed}
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in (given | {"seeds": options.seeds}).items():
        least = LEAST.get(name, 1)
        if value < least:
            parser.error(f"--{name}={value}: expected {least} or more")
    sizes = dataclasses.replace(SMOKE if options.smoke else Sizes(), **given)
    try:
        print(answer(options, sizes))
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
