import numpy as np
import pytest

from experiments import map_to_clip
from experiments.map_to_clip import Case
from tests.made_generator import FPS, WINDOW, Blocks, made_generator

SIDE = 112


def texture(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)


def moving(speed=3):
    """Tissue that goes to the right by so many pixels per frame, around a dark disc that stays."""
    at = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), -1).astype(float)
    points = np.stack([at - [speed * number, 0] for number in range(WINDOW)])
    filmed = np.stack([np.roll(texture(), speed * number, axis=1) for number in range(WINDOW)])
    cavity = np.hypot(*(at - SIDE / 2).T) < 25
    cavity = np.repeat(cavity[None], WINDOW, axis=0)
    pictures = np.where(cavity, 20, 200).astype(np.uint8)
    return Case(filmed, pictures, cavity, ~cavity, points)


def dark(frames, fps):
    del fps
    return np.where(frames < 100, 255, 0).astype(np.uint8)


def test_texture_that_moves_with_the_tissue_does_not_flicker():
    case = moving()
    assert map_to_clip.flicker(case.filmed, case) == 0
    still = np.repeat(case.filmed[:1], WINDOW, axis=0)
    # Two independent even numbers of 0 to 255 are a third of it apart.
    assert map_to_clip.flicker(still, case) == pytest.approx(256 / 3, rel=0.05)
    assert map_to_clip.flicker(still, moving(speed=0)) == 0


def test_flicker_is_of_tissue_alone():
    case = moving()
    changed = np.where(case.cavity, np.uint8(7), case.filmed)
    changed[1][case.cavity[1]] = 250
    seen_twice = case.tissue & np.roll(case.tissue, 3, axis=2)
    assert seen_twice.any()
    assert map_to_clip.flicker(changed, case) == 0
    assert np.isnan(map_to_clip.flicker(changed, case._replace(tissue=case.cavity & False)))


def test_dice_of_the_pictures_themselves_is_one():
    case = moving()
    assert map_to_clip.dice(dark(case.pictures, FPS) > 127, case.cavity) == 1
    assert map_to_clip.dice(dark(255 - case.pictures, FPS) > 127, case.cavity) == 0


@pytest.fixture(scope="module")
def judged():
    lower = moving(0)
    lower = lower._replace(
        cavity=np.roll(lower.cavity, 30, axis=1), pictures=np.roll(lower.pictures, 30, axis=1)
    )
    return map_to_clip.judge(
        made_generator(Blocks), [moving(), lower], dark, sigmas=(0.01, 5.0), num_steps=6
    )


@pytest.mark.slow
def test_every_level_has_both_starts_and_both_noises(judged):
    rows, shown = judged
    assert len(rows) == 3 + 2 * 2 * 2 and len(shown) == 3 + 2 * 2
    tried = {(row["start"], row["noise"]) for row in rows[3:]}
    assert tried == {(s, n) for s in ("published", "repaired") for n in ("independent", "carried")}
    assert rows[1]["Dice"] == 1 and rows[0]["flicker"] == 0
    assert 0 < rows[1]["Dice, other map"] < 0.5


@pytest.mark.slow
def test_hardly_any_noise_gives_the_picture_through_the_auto_encoder(judged):
    shown = judged[1]
    wanted = shown["auto-encoder alone"].astype(float)
    (noisy,) = (clip for name, clip in shown.items() if name.startswith("repaired, sigma 7.3"))
    for start in ("published", "repaired"):
        assert np.abs(shown[f"{start}, sigma 0.01"] - wanted).max() <= 6
    assert np.abs(noisy - wanted).max() > 20


@pytest.mark.slow
def test_the_figure_is_written(judged, tmp_path):
    map_to_clip.draw(tmp_path / "new" / "map_to_clip.png", judged[1])
    assert (tmp_path / "new" / "map_to_clip.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_maps_of_the_phantom_move_as_its_clips_do():
    (case,) = map_to_clip.cases(1, WINDOW, FPS, texture())
    assert case.filmed.shape == case.pictures.shape == (WINDOW, SIDE, SIDE)
    assert case.points.shape == (WINDOW, SIDE, SIDE, 2) and np.isfinite(case.points).all()
    assert case.cavity.any(axis=(1, 2)).all() and not (case.cavity & case.tissue).any()
    # The cavity is the darkest thing in the sector.
    assert case.pictures[case.cavity].mean() < case.pictures[case.tissue].mean() - 30
    followed = map_to_clip.flicker(case.filmed, case)
    elsewhere = np.roll(case.points, 4, axis=2)
    elsewhere[0] = case.points[0]
    assert followed < 0.8 * map_to_clip.flicker(case.filmed, case._replace(points=elsewhere))
