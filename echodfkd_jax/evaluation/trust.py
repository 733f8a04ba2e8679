"""Whether the network that judges outlines says of them what the exact ones say."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64

from echodfkd_jax.evaluation import segmentation, summary
from echodfkd_jax.evaluation.evaluator import Evaluator, Found, Group, Row, ScoredClip
from echodfkd_jax.measurement import trust
from echodfkd_jax.networks.trust import SIDE_PX, load_trust, where_inside

_FOUND = "trust_found"


class Trust(Evaluator):
    """The Dice that is expected of every model's outlines, and how often the bad ones are flagged.

    Clips of other sizes than the network's are passed over.
    """

    rows = (
        Row("mean", "expected_dice/{}", "Dice as it is expected", 3),
        Row("mean", "expected_dice_off/{}_vs_reference", "  off from the reference's by", 3),
    )
    groups = (
        Group(
            "Trust: outlines that are flagged",
            "Part of the clips whose Dice with the reference is under 0.85 that is flagged, part "
            "of the others (false alarms), and part of the clips in the interval that is said to "
            "hold 90 % of them (of the frames, where only some have a reference).",
            ("trust",),
            decimals=2,
        ),
    )

    @property
    def identity(self) -> str:
        """Changes with the network's weights."""
        return f"trust-1 {load_trust().fingerprint}"

    def clip(self, scored: ScoredClip) -> dict[str, Any]:
        """`expected_dice` by model, and its error on the frames that have a reference."""
        frames, lv = scored.clip.frames, scored.lv
        if not len(frames) or frames.shape[1:] != (SIDE_PX, SIDE_PX):
            return {}
        network = load_trust()
        calibration = trust.Calibration.of(network.calibration)
        found: dict[str, Any] = {}
        for model, mask in lv.binary.items():
            judged = trust.judge(where_inside(network, frames, mask), mask, calibration)
            found[f"expected_dice/{model}"] = judged.clip.dice
            known, exact = lv.reference
            if len(known):
                dice = segmentation.dice(mask[known], exact)
                pair = f"{model}_vs_reference"
                off, inside = _compare(judged, known.tolist(), dice)
                found[f"expected_dice_off/{pair}"] = off
                bad = float(dice.mean()) < trust.GOOD_DICE
                found[f"{_FOUND}/{pair}"] = (float(bad), float(judged.flagged), inside)
        return found

    def summarise(
        self, found: Sequence[Found], *, models: Sequence[str], num_samples: int, seed: int
    ) -> Mapping[str, Mapping[str, Any]]:
        """Section `trust`, of pairs that any clip has."""
        bootstrap = {"num_samples": num_samples, "seed": seed}
        section = {}
        for pair in (f"{model}_vs_reference" for model in models):
            rows = [clip[f"{_FOUND}/{pair}"] for clip in found if f"{_FOUND}/{pair}" in clip]
            if not rows:
                continue
            bad, flagged, inside = np.array(rows, np.float64).T
            parts = {
                "flagged": flagged[bad == 1],
                "false_alarms": flagged[bad == 0],
                "in_interval": inside,
            }
            section |= {
                f"{name}/{pair}": summary.mean_entry(part, **bootstrap)
                for name, part in parts.items()
                if len(part)
            }
        return {"trust": section}


def _compare(
    judged: trust.Trust, known: list[int], dice: Float64[np.ndarray, "n"]
) -> tuple[float, float]:
    """How far the expected Dice is off, and how much of it is in its interval."""
    if len(known) == len(judged.frames):
        mean = float(dice.mean())
        return abs(judged.clip.dice - mean), float(judged.clip.low <= mean <= judged.clip.high)
    frames = [judged.frames[number] for number in known]
    expected = sum(frame.dice for frame in frames) / len(frames)
    inside = [frame.low <= value <= frame.high for frame, value in zip(frames, dice)]
    return abs(expected - float(dice.mean())), float(np.mean(inside))
