"""How far outlines are to be trusted, whoever drew them, and how much they count in learning."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float32

from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV, MASK_THRESHOLD
from echodfkd_jax.measurement.trust import Calibration, Trust, judge
from echodfkd_jax.networks.trust import SIDE_PX, load_trust, where_inside
from echodfkd_jax.types import Clip, Frames


def judge_outlines(
    frames: Frames, mask: Bool[np.ndarray, "t h w"], *, sides_known: bool = True
) -> Trust:
    """What the shipped network expects of the outlines of a clip.

    Args:
        frames: grey, 112 x 112; one at least.
        mask: of the left ventricle in every frame.
        sides_known: whether the septum is on the left of the picture.

    Raises:
        ValueError: frames of another size.
    """
    network = load_trust()
    inside = where_inside(network, frames, mask)
    calibration = Calibration.of(network.calibration)
    return judge(inside, mask, calibration, sides_known=sides_known)


def weigh(min_expected_dice: float) -> Callable[[Clip], Float32[np.ndarray, "_"]]:
    """What `training.windows` asks of every clip once.

    Args:
        min_expected_dice: frames whose mask is expected to have less do not count.

    Returns:
        The expected Dice of the teacher's mask in every frame of a clip, 0 where it is too little.
    """

    def weights(clip: Clip) -> Float32[np.ndarray, "_"]:
        if clip.frames.shape[1:] != (SIDE_PX, SIDE_PX):
            raise UserError(
                f"config.input.min_expected_dice={min_expected_dice}: clip {clip.name} is "
                f"{clip.frames.shape[2]}x{clip.frames.shape[1]}; outlines are judged in frames of "
                f"{SIDE_PX}x{SIDE_PX}; set it to 0"
            )
        if clip.teacher_mask is None:
            return np.ones(len(clip.frames), np.float32)  # What is learnt says what is missing.
        mask = clip.teacher_mask[..., clip.teacher_structures.index(LV)] > MASK_THRESHOLD
        found = judge_outlines(clip.frames, mask)
        dice = np.array([frame.dice for frame in found.frames], np.float32)
        return np.where(dice >= min_expected_dice, dice, np.float32(0))

    return weights
