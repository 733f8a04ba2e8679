import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.synthesis.diffusion import carrying
from echodfkd_jax.synthesis.phantom.anatomy import sample_anatomy
from echodfkd_jax.synthesis.phantom.draws import Draws
from echodfkd_jax.synthesis.phantom.motion import (
    Pose,
    apex_position,
    at_frame,
    base_position,
    cavity_mask,
    half_widths,
    heart_coordinates,
    image_coordinates,
    points_at_rest,
    sample_motion,
    to_reference,
    volume,
)
from echodfkd_jax.synthesis.phantom.window import Grade


@pytest.fixture(scope="module")
def heart():
    return sample_anatomy(Draws(jax.random.key(0)), Grade.CLEAR)


def drawn(seed, num_frames):
    return sample_motion(Draws(jax.random.key(seed)), num_frames)


def still(motion, contraction):
    frame = at_frame(motion, jnp.asarray(0))
    return frame._replace(contraction=jnp.asarray(contraction, jnp.float32))


@pytest.mark.slow
def test_contraction_stays_between_rest_and_full_systole():
    for seed in range(20):
        motion = drawn(seed, 64)
        assert float(motion.contraction.min()) >= 0
        assert float(motion.contraction.max()) <= 1


def test_most_clips_hold_a_whole_systole():
    strongest = [float(drawn(s, 64).contraction.max()) for s in range(40)]
    assert np.mean(np.asarray(strongest) > 0.9) > 0.8


def test_valves_are_shut_at_the_height_of_systole():
    openings = []
    for seed in range(10):
        motion = drawn(seed, 64)
        contraction, opening = np.asarray(motion.contraction), np.asarray(motion.opening)
        # The frames just before the largest contraction belong to ejection.
        before = slice(max(contraction.argmax() - 3, 0), contraction.argmax())
        rising = (contraction[before] > 0.5) & (contraction[before] < 0.95)
        openings += opening[before][rising].tolist()
    assert len(openings) > 5
    assert max(openings) < 0.5


def test_at_rest_tissue_is_where_the_reference_map_has_it(heart):
    motion = still(drawn(1, 8), 0.0)
    u = jnp.asarray([-30.0, -8.0, 3.0, 12.0, 40.0])
    v = jnp.asarray([5.0, 20.0, 30.0, 45.0, 80.0])
    u0, v0 = to_reference(heart, motion, u, v)
    np.testing.assert_allclose(u0, u, atol=1e-3)
    np.testing.assert_allclose(v0, v, atol=1e-3)


def test_the_base_moves_towards_the_apex_by_the_shortening(heart):
    motion = still(drawn(1, 8), 1.0)._replace(shortening=jnp.asarray(0.25))
    assert float(base_position(heart, motion)) == pytest.approx(0.75 * float(heart.length))


def test_without_compaction_points_inside_stay_inside(heart):
    motion = still(drawn(2, 8), 1.0)._replace(compaction=jnp.zeros(()))
    rest = motion._replace(contraction=jnp.zeros(()))
    u, v = jnp.meshgrid(jnp.linspace(-40, 40, 81), jnp.linspace(-5, 80, 86))
    now = np.asarray(cavity_mask(heart, motion, u, v))
    u0, v0 = to_reference(heart, motion, u, v)
    before = np.asarray(cavity_mask(heart, rest, u0, v0))
    assert now.sum() > 100
    assert np.mean(now != before) < 0.02


def test_contraction_presses_the_trabeculae_out_of_the_outline(heart):
    heart = heart._replace(trabecular=jnp.asarray([1.0, 2.0]))
    motion = still(drawn(2, 8), 1.0)._replace(
        compaction=jnp.ones(()), narrowing=jnp.full(2, 0.4), apical_excess=jnp.zeros(2)
    )
    s = jnp.full(2, 0.6)
    side = jnp.asarray([0.0, 1.0])
    now, _ = half_widths(heart, motion, s, side)
    apex = apex_position(heart, motion)
    v = apex + s * (base_position(heart, motion) - apex)
    u0, v0 = to_reference(heart, motion, jnp.asarray([-1.0, 1.0]) * (now + heart.gap), v)
    _, rest = half_widths(heart, motion, v0 / heart.length, side)
    # What lies where the wall begins at end-systole lay that deep inside of it at end-diastole.
    np.testing.assert_allclose(rest + heart.gap - jnp.abs(u0), [1.0, 2.0], atol=1e-3)


def test_volume_is_the_disks_on_the_drawn_mask(heart):
    straight = heart._replace(base_tilt=jnp.zeros(()))
    motion = still(drawn(3, 8), 0.4)
    u, v = jnp.meshgrid(jnp.arange(-60, 60, 0.25), jnp.arange(-5, 90, 0.25))
    mask = np.asarray(cavity_mask(straight, motion, u, v))
    diameters = mask.sum(1) * 0.25
    by_hand = np.sum(np.pi / 4 * diameters**2) * 0.25
    assert float(volume(straight, motion)) == pytest.approx(by_hand, rel=0.02)


def test_image_coordinates_are_the_inverse_of_heart_coordinates(heart):
    motion = still(drawn(0, 8), 0.0)
    motion = motion._replace(drift=jnp.zeros(2), rock=jnp.zeros(()))
    pose = Pose(jnp.asarray(52.0), jnp.asarray(9.0), jnp.asarray(0.3))
    u, v = jnp.asarray([-10.0, 0.0, 14.0]), jnp.asarray([5.0, 20.0, 40.0])
    x, y = image_coordinates(heart, pose, u, v)
    back_u, back_v = heart_coordinates(heart, motion, pose, x, y)
    np.testing.assert_allclose(back_u, u, atol=1e-3)
    np.testing.assert_allclose(back_v, v, atol=1e-3)


def test_noise_that_is_carried_stays_on_its_side_of_the_outline():
    heart = sample_anatomy(Draws(jax.random.key(2)), Grade.CLEAR)
    pose = Pose(*(jnp.asarray(each, jnp.float32) for each in (56.0, 12.0, 0.1)))
    two = drawn(2, 40)._replace(
        contraction=jnp.asarray([0.0, 1.0]),
        opening=jnp.zeros(2),
        drift=jnp.zeros((2, 2)),
        rock=jnp.zeros(2),
    )
    y, x = jnp.meshgrid(jnp.arange(112.0), jnp.arange(112.0), indexing="ij")
    frames = [at_frame(two, jnp.asarray(number)) for number in range(2)]
    rest, systole = (
        np.asarray(cavity_mask(heart, now, *heart_coordinates(heart, now, pose, x, y)))
        for now in frames
    )
    assert systole.sum() < 0.6 * rest.sum()  # The heart does beat.
    sources = carrying.sources(np.asarray(points_at_rest(heart, two, pose, 112)))[1]
    there = sources >= 0
    was_inside = rest.ravel()[sources]
    assert there.mean() > 0.7
    assert np.sum((was_inside != systole) & there) < 0.15 * np.sum((rest != systole) & there)
    # What changes sides is trabeculae: contraction presses them out of the outline, never into it.
    assert np.sum(~was_inside & systole & there) < 0.01 * systole.sum()
