import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.training.losses import (
    AREA_WEIGHT,
    DICE_WEIGHT,
    LOSSES,
    binary_cross_entropy,
    cross_entropy_and_dice,
    cross_entropy_dice_and_area,
    find_loss,
    focal,
    soft_dice,
    soft_mask,
    softened_cross_entropy,
    weigh_structures,
)


def _clip(values, dtype):
    return jnp.asarray(values, dtype).reshape(1, 1, 1, -1, 1)


def test_loss_of_undecided_pixels_is_log_two():
    loss = binary_cross_entropy(_clip([0.0, 0.0], jnp.float32), _clip([0, 255], jnp.uint8))
    np.testing.assert_allclose(loss, [0.6931472], rtol=1e-6)


def test_loss_against_a_soft_target():
    # target 51/255 = 0.2: 0.8 * softplus(1) + 0.2 * softplus(-1)
    loss = binary_cross_entropy(_clip([1.0], jnp.float32), _clip([51], jnp.uint8))
    np.testing.assert_allclose(loss, [1.1132617], rtol=1e-6)


def test_batch_axis_is_kept():
    logits = jnp.stack([jnp.zeros((2, 3, 3, 1)), jnp.full((2, 3, 3, 1), 10.0)])
    target = jnp.full((2, 2, 3, 3, 1), 255, jnp.uint8)
    np.testing.assert_allclose(
        binary_cross_entropy(logits, target), [0.6931472, 4.539889e-05], rtol=1e-3
    )


def test_large_logits_stay_finite():
    loss = binary_cross_entropy(_clip([1e4, -1e4], jnp.float32), _clip([0, 255], jnp.uint8))
    np.testing.assert_allclose(loss, [1e4])


def test_soft_mask_rounds():
    logits = _clip([0.0, -100.0, 100.0, 1.0], jnp.float32)
    np.testing.assert_array_equal(soft_mask(logits).ravel(), [128, 0, 255, 186])


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (1, 2, 2, 1)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(Exception, match="Type-check error"):
        binary_cross_entropy(jnp.zeros(shape), jnp.zeros(shape, jnp.uint8))


def test_dice_of_frames_that_agree_and_that_do_not():
    logits = jnp.stack([_clip([50.0, 50.0, -50.0], jnp.float32)[0]] * 2)
    target = jnp.stack([_clip(v, jnp.uint8)[0] for v in ([255, 255, 0], [0, 0, 255])])
    # Apart: 1 - 1 / (2 + 1 + 1), with one pixel added on both sides.
    np.testing.assert_allclose(soft_dice(logits, target), [0.0, 0.75], atol=1e-6)


def test_two_empty_masks_have_no_dice_loss():
    np.testing.assert_allclose(
        soft_dice(_clip([-90.0], jnp.float32), _clip([0], jnp.uint8)), [0.0], atol=1e-6
    )


def test_the_sum_is_the_sum():
    logits, target = _clip([0.3, -1.0], jnp.float32), _clip([200, 10], jnp.uint8)
    wanted = binary_cross_entropy(logits, target) + soft_dice(logits, target)
    np.testing.assert_allclose(cross_entropy_and_dice(logits, target), wanted)


def test_an_area_wrong_by_a_factor_costs_its_logarithm():
    wanted = jnp.zeros((1, 1, 40, 40, 1), jnp.uint8).at[:, :, :20, :20].set(255)
    half = jnp.full(wanted.shape, -50.0).at[:, :, :10, :20].set(50.0)
    costs = cross_entropy_dice_and_area(half, wanted) - binary_cross_entropy(half, wanted)
    area = AREA_WEIGHT * np.log((400 + 80) / (200 + 80))
    np.testing.assert_allclose(costs, DICE_WEIGHT * soft_dice(half, wanted) + area, rtol=1e-3)


def test_other_structures_count_less_than_the_first():
    logits = jnp.array([1.0, 2.0, 3.0]).reshape(1, 1, 1, 1, 3)
    target = jnp.zeros(logits.shape, jnp.uint8)
    alone = np.concatenate(
        [binary_cross_entropy(logits[..., [s]], target[..., [s]]) for s in range(3)]
    )
    weighted = weigh_structures(binary_cross_entropy, 0.5)(logits, target)
    np.testing.assert_allclose(
        weighted, [(alone[0] + 0.5 * alone[1] + 0.5 * alone[2]) / 2], rtol=1e-6
    )
    assert weigh_structures(binary_cross_entropy, 1.0) is binary_cross_entropy


def test_focal_loss_of_an_undecided_pixel_is_a_quarter_of_the_cross_entropy():
    loss = focal(_clip([0.0], jnp.float32), _clip([255], jnp.uint8))
    np.testing.assert_allclose(loss, [0.6931472 / 4], rtol=1e-6)


def test_at_a_temperature_the_least_loss_is_still_at_the_teachers_probability():
    target = _clip([204], jnp.uint8)  # 0.8, whose logit is 1.386.
    losses = [softened_cross_entropy(_clip([x], jnp.float32), target)[0] for x in (1.2, 1.386, 1.6)]
    assert losses[1] < min(losses[0], losses[2])


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_frames_count_by_their_weights(name):
    loss = find_loss(name)
    logits = jnp.arange(-3.0, 3.0).reshape(1, 3, 1, 2, 1)
    target = jnp.array([10, 250, 90, 7, 128, 255], jnp.uint8).reshape(1, 3, 1, 2, 1)
    chosen = loss(logits, target, jnp.array([[0.0, 2.0, 0.0]]))
    np.testing.assert_allclose(chosen, loss(logits[:, 1:2], target[:, 1:2], None), rtol=1e-5)
    alike = loss(logits, target, jnp.ones((1, 3)))
    np.testing.assert_allclose(alike, loss(logits, target, None), rtol=1e-5)
    assert loss(logits, target, jnp.zeros((1, 3))) == 0


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_structures_count_alike(name):
    loss = find_loss(name)
    logits = jnp.arange(-2.0, 2.0).reshape(1, 1, 1, 2, 2)
    target = jnp.array([10, 250, 90, 7], jnp.uint8).reshape(1, 1, 1, 2, 2)
    each = [loss(logits[..., s : s + 1], target[..., s : s + 1], None) for s in range(2)]
    np.testing.assert_allclose(loss(logits, target, None), (each[0] + each[1]) / 2, rtol=1e-5)


def test_an_unknown_loss_is_named():
    with pytest.raises(UserError, match=r"config\.train\.loss='bec' is unknown; use one of bce, "):
        find_loss("bec")
