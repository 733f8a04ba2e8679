"""Two published ways to score a model, side by side.

`paper`: EchoDFKD (Petit et al., arXiv 2409.07566): mean over clips of the Dice at ED and ES, masks
cut at 80 of 255; average frame distances; ejection fraction by areas.
`echonet`: EchoNet-Dynamic (Ouyang et al., Nature 2020): Dice of pixels pooled over clips, masks cut
at logit 0, 10,000 bootstrap samples, 5th to 95th percentile.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from echodfkd_jax.evaluation import segmentation, summary
from echodfkd_jax.evaluation.evaluator import PHASES, Evaluator, Found, Group, ScoredClip
from echodfkd_jax.masks import MASK_THRESHOLD
from echodfkd_jax.measurement.ejection_fraction import ejection_fraction_percent

PAPER_THRESHOLD = 80
ECHONET_THRESHOLD = MASK_THRESHOLD
ECHONET_SAMPLES = 10_000
ECHONET_PERCENTILES = (5.0, 95.0)


_NUMBERS = "protocol_numbers"


class Protocols(Evaluator):
    """Section `protocols` of metrics.json: `paper` and `echonet`.

    Distances of frames are those of the evaluator "phase", if it is there.
    """

    identity = "protocols-1"
    groups = (
        Group(
            "Protocol of EchoDFKD",
            "Masks cut at 80 of 255; mean over clips of the Dice at ED and ES; distances in "
            "frames.",
            ("protocols/paper",),
            decimals=3,
        ),
        Group(
            "Protocol of EchoNet-Dynamic",
            "Masks cut at logit 0; Dice of the pixels of all clips together; 5th to 95th "
            "percentile.",
            ("protocols/echonet",),
            decimals=3,
        ),
    )

    def clip(self, scored: ScoredClip) -> dict[str, Any]:
        """What `summarise` needs; nan where the clip has no reference mask at ED or ES."""
        frames = scored.phase_frames
        numbers = {"ef/recorded": float(scored.clip.ef_percent)}
        for model, mask in scored.lv.masks.items():
            sizes = [float((mask[frames.of(name)] > PAPER_THRESHOLD).sum()) for name in PHASES]
            numbers[f"ef/{model}"] = ejection_fraction_percent(*sizes)
            for reference in _references(model, scored.masks):
                for name in PHASES:
                    key = f"{name}/{model}_vs_{reference}"
                    numbers |= _at_frame(key, scored, model, reference, frames.of(name))
        return {_NUMBERS: numbers}

    def summarise(
        self, found: Sequence[Found], *, models: Sequence[str], num_samples: int, seed: int
    ) -> Mapping[str, Mapping[str, Any]]:
        """Both protocols over all clips; names without any clip are left out.

        `num_samples` is for `paper`, which published none.
        """
        clips = [clip[_NUMBERS] for clip in found]
        bootstrap = {"num_samples": num_samples, "seed": seed}
        paper: dict[str, Any] = {}
        echonet: dict[str, Any] = {}
        for model in models:
            for reference in _references(model, models):
                pair = f"{model}_vs_{reference}"
                ed, es = (summary.column(clips, f"dice/{name}/{pair}") for name in PHASES)
                columns = {f"dice/{pair}": (ed + es) / 2}
                columns |= {f"dice_ed/{pair}": ed, f"dice_es/{pair}": es}
                for metric in (f"afd_{name}/{pair}" for name in PHASES):
                    columns[metric] = summary.column(found, metric)
                for name, values in columns.items():
                    paper[name] = summary.mean_entry(values, **bootstrap)
                echonet |= _pooled_dice(clips, pair, seed)
            correlated = {f"ef_correlation/{model}_vs_recorded": (f"ef/{model}", "ef/recorded")}
            paper |= summary.correlate(clips, correlated, **bootstrap)
        both = {"paper": paper, "echonet": echonet}
        return {
            "protocols": {
                protocol: {name: entry for name, entry in entries.items() if entry["count"]}
                for protocol, entries in both.items()
            }
        }


def _references(model: str, models: Mapping[str, Any] | Sequence[str]) -> list[str]:
    return ["reference"] + (["teacher"] if model != "teacher" and "teacher" in models else [])


def _at_frame(
    key: str, scored: ScoredClip, model: str, reference: str, frame: int
) -> dict[str, float]:
    """Dice at the paper's threshold, and pixels of both masks and of their intersection."""
    soft = scored.lv.masks[model][frame : frame + 1]
    paper = echonet = None
    if reference == "teacher":
        teacher = scored.lv.masks["teacher"][frame : frame + 1]
        paper, echonet = teacher > PAPER_THRESHOLD, teacher > ECHONET_THRESHOLD
    else:
        at = np.flatnonzero(scored.lv.reference.frames == frame)
        if len(at):
            paper = echonet = scored.lv.reference.masks[at[:1]]
    if paper is None or echonet is None:
        names = ("dice", "intersection_px", "total_px")
        return {f"{name}/{key}": math.nan for name in names}
    cut = soft > ECHONET_THRESHOLD
    return {
        f"dice/{key}": float(segmentation.dice(soft > PAPER_THRESHOLD, paper)[0]),
        f"intersection_px/{key}": float(segmentation.intersection_px(cut, echonet)[0]),
        f"total_px/{key}": float(segmentation.total_px(cut, echonet)[0]),
    }


def _pooled_dice(clips: Sequence[Mapping[str, float]], pair: str, seed: int) -> dict[str, Any]:
    parts = {n: 2 * summary.column(clips, f"intersection_px/{n}/{pair}") for n in PHASES}
    wholes = {n: summary.column(clips, f"total_px/{n}/{pair}") for n in PHASES}
    pooled = {f"dice/{pair}": (parts["ed"] + parts["es"], wholes["ed"] + wholes["es"])}
    pooled |= {f"dice_{name}/{pair}": (parts[name], wholes[name]) for name in PHASES}
    return {
        name: summary.ratio_entry(
            part,
            whole,
            num_samples=ECHONET_SAMPLES,
            percentiles=ECHONET_PERCENTILES,
            seed=seed,
        )
        for name, (part, whole) in pooled.items()
    }
