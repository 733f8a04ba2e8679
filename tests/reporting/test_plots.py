import io

import numpy as np
import PIL.Image
import pytest

from echodfkd_jax.reporting import plots

LINES = [
    {"step": 1, "epoch": 1, "train/loss": 0.7},
    {"step": 2, "epoch": 1, "train/loss": 0.4},
    {"step": 2, "epoch": 1, "validation/loss": 0.5, "validation/dice": 0.6},
]
AREA = np.array([100.0, 80.0, 60.0, 90.0])
PARTLY = np.array([np.nan, 80.0, np.nan, 90.0])


def pixels(png):
    with PIL.Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def draw_area(**options):
    return plots.area_curves({"student": AREA, "reference": PARTLY}, 0, 2, **options)


def test_styles_have_their_own_paper():
    assert tuple(pixels(draw_area(style="light"))[0, 0]) == (255, 255, 255)
    assert tuple(pixels(draw_area(style="dark"))[0, 0]) == (22, 27, 34)


def test_frontier_shows_points_and_curves():
    points = {"ours": [(9.0, -1.5, "11")], "published": [(10.0, -2.0, "12")]}
    curve = np.array([8.0, 11.0]), np.array([-1.0, -2.5])
    bare = plots.frontier(points, {})
    assert not np.array_equal(pixels(bare), pixels(plots.frontier(points, {"ours": curve})))
    moved = {**points, "published": [(10.0, -1.9, "12")]}
    assert not np.array_equal(pixels(bare), pixels(plots.frontier(moved, {})))


def test_the_same_numbers_give_the_same_bytes():
    assert draw_area() == draw_area()


def test_another_phase_is_another_picture():
    moved = plots.area_curves({"student": AREA, "reference": PARTLY}, 1, 2)
    assert moved != draw_area()


def test_a_known_rate_changes_the_axis():
    assert draw_area(fps=50.0) != draw_area()


def test_a_curve_has_its_models_colour():
    image = pixels(plots.area_curves({"student": AREA}, 0, 2)).astype(int)
    assert (abs(image - (86, 180, 233)).sum(axis=-1) < 12).sum() > 100


@pytest.mark.parametrize("lines", [LINES, LINES[:1], [{"step": 1, "epoch": 1}]])
def test_losses_are_drawn_as_far_as_there_are_any(lines):
    image = pixels(plots.loss_curves(lines))
    assert image.shape[0] == 330
    empty = pixels(plots.loss_curves([]))
    assert np.array_equal(image, empty) == ("train/loss" not in lines[0])


def test_clips_without_a_recorded_fraction_are_left_out():
    recorded = np.array([30.0, np.nan, 60.0])
    one = plots.ejection_fractions(recorded, {"student": np.array([35.0, 10.0, 55.0])})
    other = plots.ejection_fractions(recorded, {"student": np.array([35.0, 99.0, 55.0])})
    assert one == other
    assert pixels(one).shape == (440, 462, 3)


def test_agreement_shows_clips_that_have_both_and_moves_with_the_limits():
    reference = np.array([50.0, np.nan, 60.0])
    lines = (2.0, -4.0, 8.0)
    one = plots.bland_altman(np.array([52.0, 1.0, 61.0]), reference, lines, "%")
    other = plots.bland_altman(np.array([52.0, 9.0, 61.0]), reference, lines, "%")
    assert one == other
    moved = plots.bland_altman(np.array([52.0, 9.0, 61.0]), reference, (2.0, -5.0, 9.0), "%")
    assert not np.array_equal(pixels(one), pixels(moved))


def test_agreement_without_any_clip_is_drawn_empty():
    none = np.full(3, np.nan)
    assert pixels(plots.bland_altman(none, none, (0.0, 0.0, 0.0), "%")).shape == (440, 462, 3)


def test_scores_without_any_value_are_drawn_empty():
    def drawn(values):
        return pixels(plots.score_histogram({"student": np.array(values)}, "Dice"))

    empty = drawn([np.nan])
    np.testing.assert_array_equal(empty, drawn([]))
    assert not np.array_equal(empty, drawn([np.nan, 0.95]))


def test_reliability_leaves_empty_bins_out():
    curve = np.array([0.1, np.nan, 0.9]), np.array([0.2, np.nan, 0.7])
    without = np.array([0.1, 0.9]), np.array([0.2, 0.7])
    drawn = plots.reliability({"student": curve}, "inside")
    np.testing.assert_array_equal(
        pixels(drawn), pixels(plots.reliability({"student": without}, "inside"))
    )
    moved = np.array([0.1, 0.9]), np.array([0.2, 0.8])
    assert not np.array_equal(
        pixels(drawn), pixels(plots.reliability({"student": moved}, "inside"))
    )
