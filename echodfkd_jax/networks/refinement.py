"""What is known of every structure of a heart: it is in one piece, and it moves smoothly.

Applied to the masks of a whole clip by predict, serve and evaluate alike
(`config.student.refine`). A network that is fed frame by frame as they arrive knows no later ones;
its masks stay as they are.
"""

import math
from typing import cast

import numpy as np
from jaxtyping import UInt8
from scipy import ndimage, special

from echodfkd_jax.masks import MASK_THRESHOLD

# Standard deviation of the smoothing over time; systole takes ten times as long. At most so many
# frames, however fast they follow each other.
SMOOTHING_S, _MOST_FRAMES = 0.03, 3.0
USUAL_FPS = 50.0  # Of clips whose rate nobody recorded.
# Half a step of a stored probability: 0 and 255 are no certainties.
_LEAST_PROBABILITY = 0.5 / 255.0


def refine(
    masks: UInt8[np.ndarray, "t h w s"], fps: float = math.nan
) -> UInt8[np.ndarray, "t h w s"]:
    """Smooths soft masks over time, then keeps the largest part of each.

    Args:
        masks: 255 * probability, in time order.
        fps: frames per second; nan or 0 when unknown.
    """
    return keep_largest(smooth_over_time(masks, fps))


def smooth_over_time(
    masks: UInt8[np.ndarray, "t h w s"], fps: float = math.nan
) -> UInt8[np.ndarray, "t h w s"]:
    """A Gaussian mean of the logits over neighbouring frames.

    Args:
        masks: 255 * probability, in time order.
        fps: frames per second; nan or 0 when unknown.
    """
    rate = fps if fps > 0 else USUAL_FPS  # Comparing with nan is False, too.
    probability = np.clip(
        masks.astype(np.float32) / 255.0, _LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY
    )
    frames = min(SMOOTHING_S * rate, _MOST_FRAMES)
    logits = special.logit(probability)
    smooth = ndimage.gaussian_filter1d(logits, frames, axis=0, mode="nearest", truncate=3.0)
    return np.rint(255.0 * special.expit(smooth)).astype(np.uint8)


def keep_largest(masks: UInt8[np.ndarray, "t h w s"]) -> UInt8[np.ndarray, "t h w s"]:
    """The largest connected part of each mask; what else lies above one half becomes 0.

    Args:
        masks: 255 * probability.
    """
    kept = masks.copy()
    for frame in kept:
        for mask in np.moveaxis(frame, -1, 0):
            found = ndimage.label(mask > MASK_THRESHOLD)
            parts, count = cast(tuple[np.ndarray, int], found)
            if count > 1:
                sizes = np.bincount(parts.ravel())[1:]
                mask[(parts > 0) & (parts != 1 + np.argmax(sizes))] = 0
    return kept
