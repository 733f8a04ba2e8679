import jax.numpy as jnp
import numpy as np

from echodfkd_jax.training.metrics import dice_per_clip


def _frames(*rows):
    """One clip; a row of pixels per frame."""
    return jnp.asarray(rows, jnp.uint8).reshape(1, len(rows), 1, -1, 1)


def test_half_overlap():
    dice = dice_per_clip(_frames([255, 255, 0]), _frames([0, 255, 255]))
    np.testing.assert_allclose(dice, [0.5])


def test_two_empty_masks_agree():
    np.testing.assert_allclose(dice_per_clip(_frames([0, 0]), _frames([0, 0])), [1.0])


def test_one_empty_mask_disagrees():
    np.testing.assert_allclose(dice_per_clip(_frames([0, 0]), _frames([0, 255])), [0.0])


def test_cut_is_at_one_half():
    np.testing.assert_allclose(dice_per_clip(_frames([128, 127]), _frames([255, 0])), [1.0])


def test_mean_over_frames_not_pooled():
    predicted = _frames([255, 255, 255], [255, 0, 0])
    target = _frames([255, 255, 255], [0, 255, 0])
    np.testing.assert_allclose(dice_per_clip(predicted, target), [0.5])
