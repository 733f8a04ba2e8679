import dataclasses

import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.networks.trust import TrustNet, TrustNetwork
from echodfkd_jax.prediction import trusting
from echodfkd_jax.settings import InputSettings
from echodfkd_jax.training.windows import Budget, Decoded, Window
from tests.evaluation import made_up_clips

LINE = {"agreement": [0, 1], "dice": [0, 1], "edges": [], "below": [-0.1], "above": [0.1]}
CALIBRATION = {"frame": LINE, "clip": LINE, "flag_below": 0.85}


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    """A network that sees the left half of every picture."""
    network = TrustNetwork(TrustNet(), {}, CALIBRATION, {})
    monkeypatch.setattr(trusting, "load_trust", lambda: network)

    def where_inside(network, frames, mask):
        seen = np.zeros(frames.shape, np.uint8)
        seen[:, :, :56] = 255
        return seen

    monkeypatch.setattr(trusting, "where_inside", where_inside)


def clip(*widths):
    masks = np.zeros((len(widths), 112, 112, 1), np.uint8)
    for mask, width in zip(masks, widths):
        mask[:, :width] = 200
    made = made_up_clips.clip(len(widths))
    frames = np.zeros(masks.shape[:3], np.uint8)
    nothing = np.zeros((0, 112, 112, 1), bool)
    return dataclasses.replace(made, frames=frames, teacher_mask=masks, reference_masks=nothing)


def test_frames_count_as_much_as_is_expected_of_them_and_bad_ones_do_not():
    found = trusting.weigh(0.6)(clip(56, 28, 14))
    assert found == pytest.approx([1, 2 / 3, 0])  # The last has 0.4.


def test_windows_that_are_learnt_from_have_the_weights_of_their_frames():
    decoded = Decoded(
        clips=[clip(56, 28, 14)], target="teacher", budget=Budget(0), weigh=trusting.weigh(0.6)
    )[0]
    window = Window(5, 1)(decoded, np.random.default_rng(0))
    assert window["frame_weights"] == pytest.approx([1, 2 / 3, 0, 0, 0])
    assert window["frame_weights"].dtype == np.float32


def test_other_sizes_are_refused_in_one_line():
    made = made_up_clips.clip(2)
    with pytest.raises(UserError, match=r"min_expected_dice=0\.6.*is 4x4.*set it to 0"):
        trusting.weigh(0.6)(made)


@pytest.mark.parametrize("changes", [{"source": "generator"}, {"target": "reference"}])
def test_only_a_teachers_masks_on_disk_are_weighed(changes):
    assert InputSettings(min_expected_dice=0.8).min_expected_dice == 0.8
    with pytest.raises(UserError, match=r"config\.input\.min_expected_dice=0\.8: expected 0"):
        InputSettings(min_expected_dice=0.8, **changes)
