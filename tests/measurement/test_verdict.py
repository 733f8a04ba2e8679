import math

import pytest

from echodfkd_jax.measurement import verdict
from echodfkd_jax.measurement.beats import Beat, Beats
from echodfkd_jax.measurement.trust import Calibration, Curve, Trust
from echodfkd_jax.measurement.view import View

TWO_BEATS = Beats(
    beats=(Beat(0, 5), Beat(10, 15)),
    length_frames=10.0,
    periodicity=0.9,
    whole_beat=True,
    rate_per_min=60.0,
)
GOOD_VIEW = View(plausible=1.0, unsure_band=0.1, inside=0.95, tilt_degrees=5.0, base_to_apex=1.2)
BAD_VIEW = GOOD_VIEW._replace(tilt_degrees=80.0)


def trust(dice, reach=0.05, places=()):
    curve = Curve((0.0, 1.0), (0.0, 1.0), (), (-reach,), (reach,))
    return Trust((dice,), Calibration(curve, curve, flag_below=0.88), places)


def test_nothing_speaks_against_a_good_clip():
    given = verdict.give(TWO_BEATS, GOOD_VIEW, trust(0.93))
    assert given == ("reliable", ())
    assert verdict.give(TWO_BEATS, GOOD_VIEW, None) == given


def test_a_doubted_outline_is_to_be_looked_at_and_where_is_told():
    given = verdict.give(TWO_BEATS, GOOD_VIEW, trust(0.84, places=("base", "lateral wall")))
    assert given.word == "look twice"
    assert given.reasons == (
        "The outline may be wrong: Dice with the true one is expected to be 0.84 (0.79 to 0.89); "
        "look at the base and the lateral wall.",
    )


def test_a_surely_bad_outline_is_not_to_be_used():
    given = verdict.give(TWO_BEATS, GOOD_VIEW, trust(0.6))
    assert given.word == "do not use" and "is probably wrong" in given.reasons[0]


@pytest.mark.parametrize(
    ("changes", "word", "told"),
    [
        ({"beats": ()}, "do not use", "No contraction was found"),
        ({"beats": (), "begun": True}, "do not use", "had begun before the first frame"),
        ({"whole_beat": False}, "look twice", "is a guess"),
        ({"beats": (Beat(0, 5),), "periodicity": 0.0}, "look twice", "one whole beat only"),
        ({"irregular": True, "spread_per_min": 9.0}, "look twice", "irregular (60 +- 9 a minute)"),
        ({"irregular": True, "spread_per_min": math.nan}, "look twice", "irregular; one"),
    ],
)
def test_what_is_wrong_with_the_beats(changes, word, told):
    given = verdict.give(TWO_BEATS._replace(**changes), GOOD_VIEW, trust(0.93))
    assert given.word == word and len(given.reasons) == 1 and told in given.reasons[0]


def test_a_strange_view_with_a_doubted_outline_is_not_to_be_used():
    assert verdict.give(TWO_BEATS, BAD_VIEW, trust(0.93)).word == "look twice"
    assert verdict.give(TWO_BEATS, BAD_VIEW, None).word == "look twice"
    given = verdict.give(TWO_BEATS, BAD_VIEW, trust(0.84))
    assert given.word == "do not use" and len(given.reasons) == 2


def test_doubt_about_left_and_right_is_a_reason():
    given = verdict.give(TWO_BEATS, GOOD_VIEW, trust(0.93), "Left or right?")
    assert given == ("look twice", ("Left or right?",))
