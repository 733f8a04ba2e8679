"""How well networks outline stills of CAMUS at ED and ES, per structure: prints a table.

    python -m experiments.camus_stills STILLS.npz [WEIGHTS ...] [--json=FILE]

STILLS.npz holds pictures of CAMUS (Leclerc et al., IEEE TMI 2019; CC BY-NC-SA 4.0, so it is no
part of this project), cropped to squares of 112 x 112: `frames` uint8 (n, h, w), `masks` (cavity)
and, where they are outlined, `myocardium` and `atrium`, bool (n, h, w), `phase` ("ED" or "ES") and
`patient`, text (n). WEIGHTS are shipped students (`best`, `small`), `teacher` (the shipped one),
.safetensors files of students or U-Nets, or folders of runs; without any, the three shipped ones.

A network that sees time sees each still for a while, and its last mask counts; the largest part of
every mask is kept. Mean over patients with a 95 % bootstrap interval; "area" is the network's area
over the reader's. Research software: no number here may guide care.
"""

import argparse
import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from echodfkd_jax import teachers
from echodfkd_jax.clips.arrays import read_arrays
from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import segmentation
from echodfkd_jax.evaluation.bootstrap import interval_of_mean
from echodfkd_jax.masks import MASK_THRESHOLD
from echodfkd_jax.networks import shipped
from echodfkd_jax.networks.refinement import keep_largest
from echodfkd_jax.teachers.base import FrameTeacher

PHASES = ("ED", "ES")
# Structure -> what the file calls its masks.
ARRAYS = {"lv": "masks", "lv_myocardium": "myocardium", "la": "atrium"}
# As often a still is shown to a network that sees time.
NUM_LOOKS = 8
NUM_SAMPLES, SEED = 10_000, 0


class Stills(NamedTuple):
    """Pictures with outlines.

    Attributes:
        frames: uint8 (n, h, w).
        masks: bool (n, h, w), by structure.
        phase: "ED" or "ES" (n).
        patient: names (n).
    """

    frames: np.ndarray
    masks: Mapping[str, np.ndarray]
    phase: np.ndarray
    patient: np.ndarray


def read_stills(path: pathlib.Path) -> Stills:
    """Reads the file.

    Raises:
        UserError: it is missing or damaged, or an array is missing or does not fit.
    """
    content = read_arrays(path)
    missing = [name for name in ("frames", "masks", "phase", "patient") if name not in content]
    if missing:
        raise UserError(f"{path}: has no {missing[0]!r}, only {', '.join(content)}")
    frames, phase = content["frames"], content["phase"]
    if frames.ndim != 3 or frames.dtype != np.uint8:
        raise UserError(
            f"{path}: frames are {frames.dtype}{list(frames.shape)}; expected uint8 (n, h, w)"
        )
    masks = {name: content[array] for name, array in ARRAYS.items() if array in content}
    for name, mask in masks.items():
        if mask.shape != frames.shape or mask.dtype != bool:
            found = f"{mask.dtype}{list(mask.shape)}"
            raise UserError(f"{path}: {ARRAYS[name]} is {found}; expected bool{list(frames.shape)}")
    if not (phase.shape == content["patient"].shape == frames.shape[:1]):
        raise UserError(f"{path}: phase and patient have other lengths than frames")
    unknown = set(np.unique(phase)) - set(PHASES)
    if unknown:
        raise UserError(
            f"{path}: phase {str(sorted(unknown)[0])!r}; expected {' or '.join(PHASES)}"
        )
    return Stills(frames, masks, phase, content["patient"])


def load(weights: str) -> FrameTeacher:
    """A network by what the command line calls it.

    Raises:
        UserError: there is none.
    """
    if weights == "teacher":
        return teachers.load_teacher("unet")
    return teachers.load_teacher("student", weights=str(shipped.STUDENTS.get(weights, weights)))


def sees_time(network: FrameTeacher) -> bool:
    """Whether a frame's mask depends on the frames around it."""
    model = getattr(getattr(network, "network", network), "model", None)
    return model is None or hasattr(model, "begin") or bool(getattr(model, "reach", 0))


def outline(network: FrameTeacher, frames: np.ndarray) -> dict[str, np.ndarray]:
    """Masks of every still, bool (n, h, w), by structure."""
    if sees_time(network):
        looks = (np.repeat(frame[None], NUM_LOOKS, axis=0) for frame in frames)
        found = np.stack([np.asarray(network(look))[-1] for look in looks])
    else:
        found = np.asarray(network(frames))
    masks = keep_largest(np.rint(255 * found).astype(np.uint8)) > MASK_THRESHOLD
    return {name: masks[..., index] for index, name in enumerate(network.structures)}


def score(stills: Stills, outlined: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Dice and relative areas of what both outlined.

    Returns:
        By "<structure>/<phase>": `count`, and `dice` and `area` as `mean` and `ci95` over patients.
    """
    found = {}
    for name in (name for name in stills.masks if name in outlined):
        reference, mask = stills.masks[name], outlined[name]
        values = {
            "dice": segmentation.dice(mask, reference),
            "area": mask.sum(axis=(1, 2)) / np.maximum(reference.sum(axis=(1, 2)), 1),
        }
        for phase in PHASES:
            at = stills.phase == phase
            found[f"{name}/{phase}"] = {"count": len(np.unique(stills.patient[at]))} | {
                key: _summary(of[at], stills.patient[at]) for key, of in values.items()
            }
    return found


def _summary(values: np.ndarray, patients: np.ndarray) -> dict[str, Any]:
    means = np.array([values[patients == one].mean() for one in np.unique(patients)])
    interval = interval_of_mean(means, num_samples=NUM_SAMPLES, seed=SEED)
    return {"mean": float(means.mean()) if len(means) else float("nan"), "ci95": interval}


def table(scores: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """A line for each network, structure and phase."""
    lines = [f"{'network':28s} {'structure':14s} {'':2s} {'n':>4s}  Dice                  area"]
    for weights, found in scores.items():
        for place, numbers in found.items():
            structure, phase = place.split("/")
            cells = [
                "{:.3f} [{:.3f}, {:.3f}]".format(numbers[key]["mean"], *numbers[key]["ci95"])
                for key in ("dice", "area")
            ]
            lines.append(
                f"{weights[-28:]:28s} {structure:14s} {phase} {numbers['count']:4d}  "
                + "  ".join(cells)
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stills", type=pathlib.Path)
    parser.add_argument("weights", nargs="*", default=["best", "small", "teacher"])
    parser.add_argument("--json", type=pathlib.Path, help="where the numbers are written")
    options = parser.parse_args()
    try:
        stills = read_stills(options.stills)
        scores = {one: score(stills, outline(load(one), stills.frames)) for one in options.weights}
    except UserError as error:
        parser.error(str(error))
    print(table(scores))
    if options.json:
        options.json.write_text(json.dumps(scores, indent=1) + "\n")


if __name__ == "__main__":
    main()
