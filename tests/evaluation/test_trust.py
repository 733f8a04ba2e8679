import dataclasses

import numpy as np
import pytest

from echodfkd_jax.evaluation import table
from echodfkd_jax.evaluation import trust as evaluating
from echodfkd_jax.evaluation.evaluator import ScoredClip
from echodfkd_jax.masks import LV_ALONE
from echodfkd_jax.networks.trust import TrustNet, TrustNetwork
from echodfkd_jax.types import NamedMasks
from tests.evaluation import made_up_clips

LINE = {"agreement": [0, 1], "dice": [0, 1], "edges": [], "below": [-0.1], "above": [0.1]}
CALIBRATION = {"frame": LINE, "clip": LINE, "flag_below": 0.85}


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    """A network that sees the left half of every picture."""
    network = TrustNetwork(TrustNet(), {}, CALIBRATION, {})
    monkeypatch.setattr(evaluating, "load_trust", lambda: network)

    def where_inside(network, frames, mask):
        seen = np.zeros(frames.shape, np.uint8)
        seen[:, :, :56] = 255
        return seen

    monkeypatch.setattr(evaluating, "where_inside", where_inside)


def half(*widths):
    masks = np.zeros((len(widths), 112, 112), bool)
    for mask, width in zip(masks, widths):
        mask[:, :width] = True
    return masks


def scored(student, reference, known):
    clip = dataclasses.replace(
        made_up_clips.clip(len(student)),
        frames=np.zeros(student.shape, np.uint8),
        reference_frames=np.array(known),
        reference_masks=reference[known][..., None],
    )
    soft = NamedMasks(255 * student[..., None].astype(np.uint8), LV_ALONE)
    return ScoredClip(clip, {"student": soft})


def test_what_is_expected_is_compared_with_what_is_true():
    found = evaluating.Trust().clip(scored(half(56, 56), half(56, 28), [0, 1]))
    assert found["expected_dice/student"] == pytest.approx(1)
    # The Dice of the second frame is 2 / 3.
    assert found["expected_dice_off/student_vs_reference"] == pytest.approx(1 / 6)


def test_of_traced_frames_their_own_is_expected():
    found = evaluating.Trust().clip(scored(half(56, 28, 28), half(56, 56, 28), [1, 2]))
    # Both are expected to have 2 / 3; they have 2 / 3 and 1.
    assert found["expected_dice_off/student_vs_reference"] == pytest.approx(1 / 6)
    assert found["trust_found/student_vs_reference"] == (1.0, 1.0, 0.5)


def test_flags_and_false_alarms_are_counted_over_clips():
    evaluator = evaluating.Trust()
    clips = [
        scored(half(28), half(56), [0]),  # Bad, and seen.
        scored(half(56), half(20), [0]),  # Bad, and not seen.
        scored(half(56), half(56), [0]),  # Good.
        scored(half(20), half(20), [0]),  # Good, but flagged.
    ]
    found = [evaluator.clip(clip) for clip in clips]
    section = evaluator.summarise(found, models=["student"], num_samples=20, seed=0)["trust"]
    values = {name.split("/")[0]: entry["value"] for name, entry in section.items()}
    assert values == {"flagged": 0.5, "false_alarms": 0.5, "in_interval": 0.5}
    assert [row[2] for row in table.everything({"mean": {}, "trust": section})] == ["2", "2", "4"]


def test_clips_of_another_size_are_passed_over():
    clip = made_up_clips.clip(2)
    assert (
        evaluating.Trust().clip(made_up_clips.scored(clip, {"s": made_up_clips.soft(1, 2)})) == {}
    )
