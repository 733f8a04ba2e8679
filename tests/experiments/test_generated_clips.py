import json
import math
import shutil

import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.runs.generator import load_generator
from experiments import generated_clips, generator_runs
from experiments.generated_ef import WAYS, agreement, best_of, by_chance, measure
from tests.made_generator import make_run


def beating(num_frames=48):
    """A disc of radius 20 to 30 that beats once a second at 16 frames per second."""
    radius = 25 + 5 * np.cos(2 * np.pi * np.arange(num_frames) / 16)
    y, x = np.mgrid[:112, :112] - 55.5
    return np.where(np.hypot(x, y) < radius[:, None, None], 255, 0).astype(np.uint8)


def test_the_ejection_fraction_of_a_disc_is_that_of_its_radius():
    found = dict(zip(WAYS, measure(beating(), 16.0)))
    for frames in ("beats", "extremes"):
        assert found[f"{frames}, areas"] == pytest.approx(100 * (1 - (2 / 3) ** 2), abs=1.5)
        assert found[f"{frames}, disks"] == pytest.approx(100 * (1 - (2 / 3) ** 3), abs=1.5)


def test_a_clip_without_a_beat_has_none_and_without_a_ventricle_nothing():
    found = dict(zip(WAYS, measure(np.repeat(beating()[:1], 16, axis=0), 16.0)))
    assert math.isnan(found["beats, disks"]) and found["extremes, disks"] == 0
    assert np.isnan(measure(np.zeros((16, 112, 112), np.uint8), 16.0)).all()


def test_agreement_is_of_the_clips_that_are_known():
    asked = np.array([20.0, 40.0, 60.0, 80.0, 50.0])
    measured = np.array([30.0, 45.0, 60.0, 75.0, np.nan])
    found = agreement(asked, measured)
    assert (found["clips"], found["left out"]) == (4, 1)
    assert found["r"] == pytest.approx(1.0) and math.isnan(found["r from"])  # Too few clips.
    assert found["mean absolute error"] == 5 and found["bias"] == 2.5
    nothing = agreement(asked, np.full(5, np.nan))
    assert nothing["clips"] == 0 and math.isnan(nothing["bias"])


def test_the_best_of_one_is_that_one_and_of_more_the_nearest():
    asked = np.array([50.0, 50.0, 50.0])
    measured = np.array([[40.0, np.nan, np.nan], [55.0, 20.0, np.nan]])
    np.testing.assert_array_equal(best_of(asked, measured[:1]), measured[0])
    np.testing.assert_array_equal(best_of(asked, measured), [55.0, 20.0, np.nan])


def test_an_interval_is_of_ten_clips_or_more():
    random = np.random.default_rng(0)
    asked = random.uniform(10, 90, 40)
    found = agreement(asked, asked + random.normal(0, 15, 40))
    assert found["r from"] < found["r"] < found["r to"]


def test_choosing_the_best_of_clips_that_do_not_follow_is_no_better_than_chance():
    random = np.random.default_rng(1)
    asked, indifferent = random.uniform(10, 90, 60), random.uniform(10, 90, (5, 60))
    chance = by_chance(asked, indifferent)
    r = agreement(asked, best_of(asked, indifferent))["r"]
    # The choice alone gives a high r, and the control says so.
    assert r > 0.8 and chance["r by chance"] == pytest.approx(r, abs=0.06)
    assert chance["p"] > 0.02
    single = by_chance(asked, indifferent[:1])
    assert abs(single["r by chance"]) < 0.05


def test_clips_that_follow_are_better_than_chance_and_three_clips_cannot_be():
    asked = np.linspace(10, 90, 30)
    assert by_chance(asked, asked[None] + 5)["p"] < 0.002
    few = np.array([32.6, 56.3, 15.5]), np.array([[24.4, 37.1, 13.2]])
    assert agreement(few[0], few[1][0])["r"] > 0.99
    assert by_chance(*few)["p"] > 0.1
    assert math.isnan(by_chance(asked, np.full((1, 30), np.nan))["p"])


class Means:
    """Two features: mean grey values of the left and the right half of the first frame."""

    fingerprint = "means"

    def __call__(self, clips):
        return clips[:, 0].reshape(len(clips), 112, 2, 56).mean((1, 3)).astype(np.float32)


def noise(seed, count, most=256):
    return list(np.random.default_rng(seed).integers(0, most, (count, 4, 112, 112), np.uint8))


def test_a_set_is_at_no_distance_from_itself_and_others_are_compared_with_as_many():
    same, darker = (
        generated_clips.embed(Means(), noise(0, count, most)) for count, most in ((6, 256), (5, 99))
    )
    itself, other = generated_clips.frechet_rows({"same": same, "darker": darker}, same)
    assert itself["clips"] == other["clips"] == 5
    for form in ("of frames", "of clips"):
        assert itself[form] == pytest.approx(0, abs=1e-6)
        # Both halves are darker by about 78.5.
        assert other[form] == pytest.approx(2 * 78.5**2, rel=0.02)


def test_a_table_has_its_title_and_says_what_is_not_known():
    found = generator_runs.table("Title", ("a", "b", "c"), [(1, 0.12345, float("nan"))])
    assert found.splitlines()[0] == "**Title**"
    assert found.splitlines()[-1] == "| 1 | 0.123 | - |"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("generated_clips"))


@pytest.fixture(scope="module")
def judged(run, tmp_path_factory):
    figures = tmp_path_factory.mktemp("figures")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(generator_runs, "shipped_outliner", lambda: bright)
        return figures, generated_clips.judge_run(run, None, figures, k=2)


def bright(frames, fps):
    del fps
    return np.where(frames > 128, 255, 0).astype(np.uint8)


@pytest.mark.slow
def test_planted_copies_are_rejected(judged):
    rows = {row["clips of"]: row for row in judged[1]["filter"]}
    planted = rows["planted: training clips"]
    assert planted["clips"] == planted["rejected"] == 4
    assert rows["planted: training clips through the auto-encoder"]["clips"] == 4
    for name in ("generated", "generated, seed 1"):
        assert rows[name]["clips"] == 3 and 0 <= rows[name]["kept"] <= 1


@pytest.mark.slow
def test_single_noise_and_the_best_of_several_are_rows_of_their_own(judged):
    rows = {(row["clips of"], row["measured by"]): row for row in judged[1]["ejection fraction"]}
    assert len(rows) == 4 * len(WAYS)
    single, best = (
        rows[f"generated, {which}", "extremes, areas"] for which in ("single noise", "best of 2")
    )
    assert not best["mean absolute error"] > single["mean absolute error"]
    # Of hearts whose grey values are known every frame is outlined.
    assert rows["held out, exact", "extremes, areas"]["clips"] == 3


@pytest.mark.slow
def test_an_untrained_network_is_farther_away_than_held_out_clips(judged):
    rows = {row["set"]: row for row in judged[1]["frechet"]}
    assert {row["clips"] for row in rows.values()} == {3}
    for form in ("of frames", "of clips"):
        assert rows["untrained network"][form] > rows["validation clips (floor)"][form]


@pytest.mark.slow
def test_figures_and_numbers_are_written(judged, tmp_path):
    figures, found = judged
    names = {path.name for path in figures.iterdir()}
    assert names == {"clips.png", "neighbours.png", "ef_single_noise.png", "ef_best_of_2.png"}
    generator_runs.write_json(tmp_path / "found.json", found)
    read = json.loads((tmp_path / "found.json").read_text())
    assert read["memorisation"]["median distance"] > 0


@pytest.mark.slow
def test_clips_of_another_generator_are_refused(run, tmp_path):
    folder = tmp_path / "clips"
    shutil.copytree(run / "generated", folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "generator": "generator-1"}))
    generator = load_generator(run)
    with pytest.raises(UserError, match="its clips are of generator-1, the run's generator is"):
        generated_clips.read_made(folder, generator)
    with pytest.raises(UserError, match="no generated clips; run --stage=generate first"):
        generated_clips.read_made(tmp_path, generator)
