"""What an evaluator is, what it is given of each clip, and which there are.

A metric of one's own is an `Evaluator`, named in `config.eval.evaluators`:

    class Roundness(Evaluator):
        identity = "roundness-1"
        rows = (Row("mean", "roundness/{}", "Roundness", 2),)

        def clip(self, scored):
            return {f"roundness/{m}": roundness(mask) for m, mask in scored.lv.binary.items()}
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64, Int64

from echodfkd_jax import seams
from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV, MASK_THRESHOLD
from echodfkd_jax.measurement import phase
from echodfkd_jax.types import Clip, NamedMasks, SoftMask

PHASES = ("ed", "es")
EVALUATORS = {
    "overlap": "echodfkd_jax.evaluation.overlap:Overlap",
    "phase": "echodfkd_jax.evaluation.phase_distance:PhaseDistance",
    "ejection_fraction": "echodfkd_jax.evaluation.ejection_fractions:EjectionFractions",
    "calibration": "echodfkd_jax.evaluation.calibration:Calibration",
    "measures": "echodfkd_jax.evaluation.measures:Measures",
    "protocols": "echodfkd_jax.evaluation.protocols:Protocols",
    "window": "echodfkd_jax.evaluation.window:Window",
    "trust": "echodfkd_jax.evaluation.trust:Trust",
}


class PhaseFrames(NamedTuple):
    """Which frames of a clip are end-diastole and end-systole.

    Attributes:
        ed: frame index.
        es: frame index.
        source: "known" (the generator's, or traced by a human), "teacher" (largest and least area
            of the teacher's mask, where nobody named them), or "student" (likewise, where there
            is no teacher's mask either).
    """

    ed: int
    es: int
    source: str

    def of(self, name: str) -> int:
        """The frame of "ed" or "es"."""
        return {"ed": self.ed, "es": self.es}[name]


class Target(NamedTuple):
    """What a mask is compared with.

    Attributes:
        frames: int (n,), those whose mask is known.
        masks: bool (n, h, w), cut at `MASK_THRESHOLD` where they were soft.
    """

    frames: Int64[np.ndarray, "n"]
    masks: Bool[np.ndarray, "n h w"]


@dataclasses.dataclass(frozen=True)
class Outlines:
    """All masks of one structure of a clip; what several evaluators need of them is computed once.

    Attributes:
        masks: uint8 (t, h, w), soft masks of all frames by model: `student`, `teacher`, `labeller`.
        reference: the exact or traced masks; without frames where there are none.
    """

    masks: Mapping[str, SoftMask]
    reference: Target

    @functools.cached_property
    def binary(self) -> dict[str, Bool[np.ndarray, "t h w"]]:
        """The masks, cut at `MASK_THRESHOLD`."""
        return {model: mask > MASK_THRESHOLD for model, mask in self.masks.items()}

    @functools.cached_property
    def areas_px(self) -> dict[str, Float64[np.ndarray, "t"]]:
        """Pixels of every frame of `binary`, by model; `reference` too, nan where it is unknown."""
        return area_curves(self.binary, self.reference)

    @functools.cached_property
    def phase_areas_px(self) -> dict[str, Int64[np.ndarray, "t"]]:
        """Pixels by model as the published rule for ED and ES counts them, see `phase`."""
        return {model: phase.area_px(mask) for model, mask in self.masks.items()}

    def targets(self, model: str) -> dict[str, Target]:
        """What a model is compared with: `reference` and, but for itself, `teacher`."""
        targets = {"reference": self.reference}
        if "teacher" in self.masks and model != "teacher":
            teacher = self.binary["teacher"]
            targets["teacher"] = Target(np.arange(len(teacher)), teacher)
        return targets


@dataclasses.dataclass(frozen=True)
class ScoredClip:
    """One clip with all its masks.

    Attributes:
        clip: its references and what is recorded of it.
        masks: by model, `student` among them.
    """

    clip: Clip
    masks: Mapping[str, NamedMasks]

    @functools.cached_property
    def structures(self) -> dict[str, Outlines]:
        """What the student outlines, by name, with the masks of all models that have it."""
        return {
            structure: Outlines(
                masks={
                    model: named.of(structure)
                    for model, named in self.masks.items()
                    if structure in named.structures
                },
                reference=_reference(self.clip, structure),
            )
            for structure in self.masks["student"].structures
        }

    @property
    def lv(self) -> Outlines:
        """The left ventricle, which all models outline."""
        return self.structures[LV]

    @functools.cached_property
    def phase_frames(self) -> PhaseFrames:
        """The frames at which ED and ES metrics are taken, the same for all models."""
        if self.clip.ed_frame >= 0 and self.clip.es_frame >= 0:
            return PhaseFrames(self.clip.ed_frame, self.clip.es_frame, "known")
        source = "teacher" if "teacher" in self.masks else "student"
        return PhaseFrames(*phase.extreme_frames(self.lv.phase_areas_px[source]), source)


def _reference(clip: Clip, structure: str) -> Target:
    if structure not in clip.reference_structures:
        return Target(np.zeros(0, int), np.zeros((0, *clip.frames.shape[1:]), bool))
    masks = clip.reference_masks[..., clip.reference_structures.index(structure)]
    return Target(np.asarray(clip.reference_frames), masks)


def area_curves(
    binary: Mapping[str, Bool[np.ndarray, "t h w"]], reference: Target
) -> dict[str, Float64[np.ndarray, "t"]]:
    """Area in pixels of every frame, by model, and of the `reference`; nan where it is unknown."""
    curves = {
        model: np.count_nonzero(mask, axis=(1, 2)).astype(np.float64)
        for model, mask in binary.items()
    }
    curves["reference"] = np.full(len(next(iter(binary.values()))), np.nan)
    curves["reference"][reference.frames] = reference.masks.sum(axis=(1, 2))
    return curves


class Row(NamedTuple):
    """A line of the table on the screen and of the first one in the report.

    Attributes:
        section: of metrics.json: "mean" or "correlation".
        metric: `{}` is the model. Rows that no model has are left out; what is there of other
            structures than the left ventricle follows.
        heading: what it is.
        decimals: that are shown.
    """

    section: str
    metric: str
    heading: str
    decimals: int


class Group(NamedTuple):
    """A table of its own in the report.

    Attributes:
        title: above it.
        note: below the title.
        sections: of metrics.json, such as "mean", "correlation" or "protocols/paper".
        metrics: patterns of names as of `fnmatch`; one that matches is enough.
        decimals: that are shown.
    """

    title: str
    note: str
    sections: tuple[str, ...]
    metrics: tuple[str, ...] = ("*",)
    decimals: int = 4


Found = Mapping[str, Any]


@runtime_checkable
class Evaluator(Protocol):
    """Some numbers of an evaluation; only `identity` and `clip` have no default.

    Attributes:
        identity: changes when its numbers are computed otherwise; a finished evaluation is then
            done again.
        rows: of the table on the screen and in the report.
        groups: tables of its own in the report.
    """

    identity: Any
    rows: Sequence[Row] = ()
    groups: Sequence[Group] = ()

    def clip(self, scored: ScoredClip) -> Found:
        """What is found of one clip.

        Returns:
            By name, which no other evaluator may use, `<what>/<model>` or
            `<what>/<model>_vs_<reference or teacher>`; see `masks.name_in` for what is about
            another structure than the left ventricle. A float is a metric: metrics.json has it for
            this clip and as a mean with its interval, and TensorBoard and the report show that;
            nan where the clip lacks what it needs. Anything else is kept for `summarise` alone.
            Names of `summary.TOTALS` are summed, those of `summary.POSITIONS` not averaged.
        """
        ...

    def summarise(
        self, found: Sequence[Found], *, models: Sequence[str], num_samples: int, seed: int
    ) -> Mapping[str, Mapping[str, Any]]:
        """What is found over all clips, besides the means.

        Args:
            found: what all evaluators found, per clip.
            models: whose masks there are.
            num_samples: of the bootstrap.
            seed: of the bootstrap.

        Returns:
            What is added to sections of metrics.json. Where an entry has `value`, `count` and
            `ci95` (or `interval`), as those of `summary` do, TensorBoard and the report show it.
        """
        del found, models, num_samples, seed
        return {}


def open_evaluators(names: Sequence[str]) -> dict[str, Evaluator]:
    """The evaluators that `config.eval.evaluators` names: of `EVALUATORS` or `package.module:Name`.

    Raises:
        UserError: a name is unknown.
    """
    return {name: seams.find("config.eval.evaluators", name, EVALUATORS)() for name in names}


def find_all(evaluators: Mapping[str, Evaluator], scored: ScoredClip) -> dict[str, Any]:
    """What all evaluators find of one clip.

    Raises:
        UserError: two of them use the same name.
    """
    found: dict[str, Any] = {}
    for name, evaluator in evaluators.items():
        more = evaluator.clip(scored)
        if twice := found.keys() & more.keys():
            raise UserError(
                f"config.eval.evaluators: {name!r} gives {sorted(twice)[0]!r}, which one before it "
                "gave; rename it"
            )
        found |= more
    return found


def metrics_of(found: Found) -> dict[str, float]:
    """The metrics among what was found of a clip."""
    return {name: value for name, value in found.items() if isinstance(value, float)}
