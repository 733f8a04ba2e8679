import dataclasses
import math

import numpy as np
import pytest

from echodfkd_jax.measurement import trust
from tests.measurement.drawn_hearts import Bullet, draw

MASK = draw(Bullet(16, 24, 30)) > 127


def curve(**changes):
    fields = {
        "agreement": (0.2, 0.8, 1.0),
        "dice": (0.3, 0.9, 0.95),
        "edges": (0.6,),
        "below": (-0.3, -0.1),
        "above": (0.2, 0.02),
    }
    return trust.Curve(**{**fields, **changes})


CALIBRATION = trust.Calibration(curve(), curve(), flag_below=0.85)


def test_agreement_is_the_dice_of_what_is_seen_with_what_is_said():
    seen = np.where(MASK, 255, 0).astype(np.uint8)
    half = MASK.copy()
    half[:, : MASK.shape[1] // 2] = False
    inside = np.stack([seen, seen, seen])
    found = trust.agreement(inside, np.stack([MASK, half, np.zeros_like(MASK)]))
    share = half.sum() / MASK.sum()
    assert found == pytest.approx([1, 2 * share / (1 + share), 0])


def test_being_unsure_is_less_agreement():
    unsure = np.where(MASK, 178, 25).astype(np.uint8)  # Probabilities of 0.7 and 0.1.
    assert trust.agreement(unsure[None], MASK[None])[0] < 0.75


def test_between_its_points_a_curve_is_straight_and_beyond_them_level():
    assert curve().expected(0.5).dice == pytest.approx(0.6)
    assert curve().expected(0.1).dice == pytest.approx(0.3)
    low = curve().expected(0.2)
    assert (low.low, low.high) == pytest.approx((0.0, 0.5))
    high = curve().expected(1.0)
    assert (high.low, high.high) == pytest.approx((0.85, 0.97))


def test_fitted_curves_expect_the_mean_and_their_intervals_hold_nine_of_ten():
    random = np.random.default_rng(0)

    def outlines(count):
        agreement = random.uniform(0.3, 1.0, count)
        # Off by much where the agreement is little.
        return agreement, agreement**2 + random.normal(size=count) * 0.1 * (1 - agreement)

    found = trust.Curve.fit(*outlines(4000), outlines(4000))
    agreement, dice = outlines(4000)
    expected = [found.expected(value) for value in agreement]
    away = np.array([e.dice for e in expected]) - dice
    for part in np.array_split(np.argsort(agreement), 5):
        assert abs(away[part].mean()) < 0.01
        inside = [expected[i].low <= dice[i] <= expected[i].high for i in part]
        assert 0.87 < np.mean(inside) < 0.93
    widths = [found.expected(value).high - found.expected(value).low for value in (0.4, 0.95)]
    assert widths[0] > 3 * widths[1]


def test_few_outlines_say_nothing_of_intervals():
    some = np.linspace(0.5, 1.0, 16)
    found = trust.Curve.fit(some, some, (some, some))
    assert found.expected(0.7).low == 0 and found.expected(0.7).high == 1


def test_a_calibration_comes_back_from_json():
    as_json = {
        name: {key: list(values) for key, values in vars(curve()).items()}
        for name in ("frame", "clip")
    }
    assert trust.Calibration.of({**as_json, "flag_below": 0.85}) == CALIBRATION


def test_a_good_outline_is_not_flagged_and_nothing_of_it_is_doubted():
    seen = np.where(MASK, 255, 0).astype(np.uint8)
    found = trust.judge(np.stack([seen] * 3), np.stack([MASK] * 3), CALIBRATION)
    assert not found.flagged and not found.surely_bad and found.doubted == ()
    assert found.clip.dice == pytest.approx(0.95) and len(found.frames) == 3


@pytest.mark.parametrize(
    ("place", "chosen"),
    [
        ("apex", lambda y, x: y < 36),
        ("base", lambda y, x: y > 66),
        ("septal wall", lambda y, x: (x < 52) & (y > 36) & (y < 62)),
        ("lateral wall", lambda y, x: (x > 60) & (y > 36) & (y < 62)),
    ],
)
def test_where_the_ventricle_is_seen_otherwise_is_told(place, chosen):
    y, x = np.mgrid[: MASK.shape[0], : MASK.shape[1]]
    rows, columns = np.nonzero(MASK)
    # The drawn heart, moved into the middle of these limits.
    y, x = y - rows.min() + 24, x - round(columns.mean()) + 56
    seen = np.where(MASK & ~chosen(y, x), 255, 0).astype(np.uint8)
    found = trust.doubted_places(seen[None], MASK[None])
    assert found[0] == place
    if "wall" in place:
        side = {"septal wall": "left wall", "lateral wall": "right wall"}[place]
        assert trust.doubted_places(seen[None], MASK[None], sides_known=False)[0] == side


def test_no_outline_has_no_parts():
    nothing = np.zeros_like(MASK)
    seen = np.where(MASK, 255, 0).astype(np.uint8)
    assert trust.doubted_places(seen[None], nothing[None]) == ()
    assert trust.judge(seen[None], nothing[None], CALIBRATION).surely_bad


def test_drawn_outlines_are_not_doubted():
    found = trust.Trust((0.3, 0.3, 0.3), CALIBRATION, ("base",))
    assert found.flagged and found.doubted == ("base",)
    assert not dataclasses.replace(found, agreement=(0.85,)).flagged
    drawn = found.with_drawn({0, 2})
    assert drawn.agreement == (1.0, 0.3, 1.0)
    assert drawn.clip.dice > found.clip.dice
    assert not found.with_drawn({0, 1, 2}).flagged
    assert math.isclose(found.clip.dice, 0.4)
