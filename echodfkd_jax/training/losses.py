"""Segmentation losses against soft masks, one value per clip; `config.train.loss` names one."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, UInt8

from echodfkd_jax import seams

Logits = Float[Array, "b t h w s"]
Target = UInt8[Array, "b t h w s"]
# How much each frame counts; None: all the same. A clip in which no frame counts has loss 0.
FrameWeights = Float[Array, "b t"] | None
Loss = Callable[[Logits, Target, FrameWeights], Float[Array, "b"]]

LOSSES = {
    "bce": "echodfkd_jax.training.losses:binary_cross_entropy",
    "dice": "echodfkd_jax.training.losses:soft_dice",
    "bce_dice": "echodfkd_jax.training.losses:cross_entropy_and_dice",
    "bce_dice_area": "echodfkd_jax.training.losses:cross_entropy_dice_and_area",
    "focal": "echodfkd_jax.training.losses:focal",
    "temperature": "echodfkd_jax.training.losses:softened_cross_entropy",
}
# Lin et al., "Focal loss for dense object detection", arXiv 1708.02002: their best value.
FOCAL_GAMMA = 2.0
# Hinton et al., "Distilling the knowledge in a neural network", arXiv 1503.02531.
TEMPERATURE = 2.0
# Of the other two parts in `bce_dice_area`, cross-entropy being 1.
DICE_WEIGHT, AREA_WEIGHT = 1 / 6, 1 / 30
# Pixels added to areas, so that a structure that is not there costs little.
_AREA_SMOOTHING_PX = 80.0
# Of a teacher's probability; beyond it a stored mask says nothing (255 steps).
_LEAST_PROBABILITY = 0.5 / 255
# Pixels added to both sides of Dice's ratio, so that two empty masks agree.
_DICE_SMOOTHING = 1.0


def find_loss(name: str) -> Loss:
    """The loss that `config.train.loss` names.

    Raises:
        UserError: an unknown name.
    """
    return seams.find("config.train.loss", name, LOSSES)


def weigh_structures(loss: Loss, others: float) -> Loss:
    """The loss in which each structure beside the first counts `others` times as much as that."""
    if others == 1:
        return loss

    def weighted(
        logits: Logits, target: Target, frame_weights: FrameWeights = None
    ) -> Float[Array, "b"]:
        weights = [1.0] + [others] * (logits.shape[-1] - 1)
        losses = [
            weight * loss(logits[..., [number]], target[..., [number]], frame_weights)
            for number, weight in enumerate(weights)
        ]
        return jnp.sum(jnp.stack(losses), axis=0) / sum(weights)

    return weighted


def binary_cross_entropy(
    logits: Logits, target: Target, frame_weights: FrameWeights = None
) -> Float[Array, "b"]:
    """Binary cross-entropy against a soft mask (Petit et al., arXiv 2409.07566).

    Args:
        logits: of the student.
        target: 255 * probability, rounded, as it lies on disk.
        frame_weights: how much each frame counts; None: all the same.

    Returns:
        Mean over frames, pixels and structures, in nats, float32 whatever the logits' precision.
    """
    loss = optax.sigmoid_binary_cross_entropy(logits.astype(jnp.float32), _probability(target))
    return _mean(loss, frame_weights)


def soft_dice(
    logits: Logits, target: Target, frame_weights: FrameWeights = None
) -> Float[Array, "b"]:
    """One minus the Dice of probabilities (Milletari et al., arXiv 1606.04797), frame by frame.

    Small hearts and end-systole count as much as large ones, unlike in a mean over pixels. A frame
    without a mask in either is 0; every structure counts by itself.
    """
    predicted, wanted = jax.nn.sigmoid(logits.astype(jnp.float32)), _probability(target)
    # Squares, so that the Dice of two equal soft masks is 1.
    both = jnp.sum(predicted * wanted, axis=(2, 3), keepdims=True)
    size = jnp.sum(predicted**2 + wanted**2, axis=(2, 3), keepdims=True)
    dice = (2 * both + _DICE_SMOOTHING) / (size + _DICE_SMOOTHING)
    return _mean(1 - dice, frame_weights)


def cross_entropy_and_dice(
    logits: Logits, target: Target, frame_weights: FrameWeights = None
) -> Float[Array, "b"]:
    """The sum of both: sharp outlines, and end-systole as good as end-diastole."""
    return binary_cross_entropy(logits, target, frame_weights) + soft_dice(
        logits, target, frame_weights
    )


def cross_entropy_dice_and_area(
    logits: Logits, target: Target, frame_weights: FrameWeights = None
) -> Float[Array, "b"]:
    """Cross-entropy, some of Dice, and by which factor an area is wrong, |log(predicted/wanted)|.

    Where grey values leave open where the outline is, cross-entropy answers with a probability,
    Dice with a mask that is rather too large. A mask of mean size costs both little; it is too
    small at end-diastole and too large at end-systole, which the area's part is for.
    """
    predicted, wanted = jax.nn.sigmoid(logits.astype(jnp.float32)), _probability(target)
    areas = (jnp.sum(each, axis=(2, 3), keepdims=True) for each in (predicted, wanted))
    sizes = [jnp.log(area + _AREA_SMOOTHING_PX) for area in areas]
    return (
        binary_cross_entropy(logits, target, frame_weights)
        + DICE_WEIGHT * soft_dice(logits, target, frame_weights)
        + AREA_WEIGHT * _mean(jnp.abs(sizes[0] - sizes[1]), frame_weights)
    )


def focal(logits: Logits, target: Target, frame_weights: FrameWeights = None) -> Float[Array, "b"]:
    """Cross-entropy, each pixel weighted with (distance from its soft target) ^ `FOCAL_GAMMA`."""
    logits, wanted = logits.astype(jnp.float32), _probability(target)
    loss = optax.sigmoid_binary_cross_entropy(logits, wanted)
    return _mean(jnp.abs(wanted - jax.nn.sigmoid(logits)) ** FOCAL_GAMMA * loss, frame_weights)


def softened_cross_entropy(
    logits: Logits, target: Target, frame_weights: FrameWeights = None
) -> Float[Array, "b"]:
    """Cross-entropy of both sides' logits divided by `TEMPERATURE`, times its square."""
    wanted = jnp.clip(_probability(target), _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    softened = jax.nn.sigmoid(jax.scipy.special.logit(wanted) / TEMPERATURE)
    loss = optax.sigmoid_binary_cross_entropy(logits.astype(jnp.float32) / TEMPERATURE, softened)
    return TEMPERATURE**2 * _mean(loss, frame_weights)


def soft_mask(logits: Logits) -> Target:
    """Logits as a mask on disk: 255 * probability, rounded."""
    return jnp.round(255.0 * jax.nn.sigmoid(logits.astype(jnp.float32))).astype(jnp.uint8)


def _probability(target: Target) -> Float[Array, "b t h w s"]:
    return target.astype(jnp.float32) / 255.0


def _mean(loss: Float[Array, "b t _ _ s"], frame_weights: FrameWeights) -> Float[Array, "b"]:
    """Over everything but the clips, frames by their weights."""
    if frame_weights is None:
        return jnp.mean(loss, axis=(1, 2, 3, 4))
    of_frames = jnp.mean(loss, axis=(2, 3, 4))
    total = jnp.sum(frame_weights, axis=1)
    return jnp.sum(frame_weights * of_frames, axis=1) / jnp.where(total > 0, total, 1.0)
