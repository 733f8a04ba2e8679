import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.synthesis.diffusion import carrying
from echodfkd_jax.synthesis.diffusion.samplers import noise_from

SIDE = 24


def points(*moves):
    """Of tissue that was at `move(place)` in the first frame, frame by frame."""
    grid = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), -1).astype(float)
    return np.stack([move(grid) for move in moves])


def still(grid):
    return grid


def noise(num_frames):
    return jax.random.normal(jax.random.key(0), (num_frames, SIDE, SIDE, 2))


def test_tissue_that_stands_still_keeps_its_noise():
    sources = carrying.sources(points(still, still))
    np.testing.assert_array_equal(sources[1].ravel(), np.arange(SIDE**2))
    found = carrying.carried(noise(2), sources)
    np.testing.assert_array_equal(found[1], noise(2)[0])


def test_noise_moves_with_the_tissue_and_what_comes_in_has_its_own():
    # Everything moves three pixels to the right: what is at x was at x - 3.
    found = carrying.carried(noise(2), carrying.sources(points(still, lambda at: at - [3, 0])))
    np.testing.assert_array_equal(found[1, :, 3:], noise(2)[0, :, :-3])
    np.testing.assert_array_equal(found[1, :, :3], noise(2)[1, :, :3])


def test_stretched_tissue_hands_every_number_on_once_and_every_frame_stays_white():
    moves = (still, lambda at: at / 2, lambda at: at * 1.7 + 0.2)
    sources = carrying.sources(points(*moves))
    for frame in sources:
        handed_on = frame[frame >= 0]
        assert len(np.unique(handed_on)) == len(handed_on)
    # Stretched to twice the size, each piece is seen four times: one of four pixels gets its noise.
    assert np.mean(sources[1] >= 0) == 0.25
    found = np.asarray(carrying.carried(noise(3), sources))
    for frame in found:
        assert abs(frame.mean()) < 0.1 and abs(frame.std() - 1) < 0.1
        beside = np.corrcoef(frame[:, 1:].ravel(), frame[:, :-1].ravel())[0, 1]
        assert abs(beside) < 0.1


def test_a_samplers_noise_is_carried_in_every_step():
    sources = carrying.sources(points(still, still))
    draw = carrying.carrying(noise_from(jax.random.key(1), (2, SIDE, SIDE, 1)), sources)
    for step in (0, 1):
        np.testing.assert_array_equal(draw(step)[1], draw(step)[0])
    assert jnp.any(draw(0) != draw(1))


def test_larger_pixels_move_with_the_tissue_too():
    # Eight pixels to the right are two latents of four pixels.
    found = carrying.coarser(points(still, lambda at: at - [8, 0]), 4)
    assert found.shape == (2, 6, 6, 2)
    sources = carrying.sources(found).reshape(2, 6, 6)
    np.testing.assert_array_equal(sources[1, :, 2:], sources[0, :, :-2])
    assert (sources[1, :, :2] == -1).all()


def test_pixels_that_do_not_fit_are_an_error():
    with pytest.raises(UserError, match="24 x 24 pixels cannot be divided by 5"):
        carrying.coarser(points(still), 5)
