"""How well a clip shows the ventricle's border: what tells poor acoustic windows from clear."""

import numpy as np
from jaxtyping import Bool, Float64, UInt8
from scipy import ndimage

from echodfkd_jax.evaluation.evaluator import PHASES, Evaluator, Outlines, ScoredClip

# Pixels of a frame of 112 to the outline, on either side, between which brightness is compared.
_NEAR, _FAR = 1.5, 6.5
# The walls: between these parts of the way from apex to base.
_WALLS = (0.25, 0.85)
# Brightness is relative to this percentile of the frame, or to so much at least.
_BRIGHT, _LEAST_GREY = 97, 30.0


class Window(Evaluator):
    """`border_contrast/<reference or teacher>` of every clip, by the masks that are known.

    How much brighter, in percent of the frame's brightest, the walls are outside of the outline
    than inside: of the fainter wall, mean of end-diastole and end-systole. Recorded clips have 14
    in the middle, and 11 in the lowest tenth.
    """

    identity = "window-1"

    def clip(self, scored: ScoredClip) -> dict[str, float]:
        """By the reference's masks where both frames have one, and by the teacher's."""
        frames = [scored.phase_frames.of(name) for name in PHASES]
        found = {}
        for model, masks in _masks_at(scored.lv, frames).items():
            each = [border_contrast(scored.clip.frames[f], m) for f, m in zip(frames, masks)]
            found[f"border_contrast/{model}"] = float(np.mean(each, axis=0).min())
        return found


def _masks_at(lv: Outlines, frames: list[int]) -> dict[str, Bool[np.ndarray, "n h w"]]:
    found = {}
    known = lv.reference.frames.tolist()
    if set(frames) <= set(known):
        found["reference"] = lv.reference.masks[[known.index(frame) for frame in frames]]
    if "teacher" in lv.binary:
        found["teacher"] = lv.binary["teacher"][frames]
    return found


def border_contrast(
    frame: UInt8[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]
) -> Float64[np.ndarray, "2"]:
    """Brightness outside less inside of the left and the right wall, in percent.

    Args:
        frame: grey.
        mask: the ventricle.

    Returns:
        nan of a wall that is not there.
    """
    if not mask.any():
        return np.full(2, np.nan)
    per_px = frame.shape[0] / 112
    away = ndimage.distance_transform_edt(~mask) / per_px
    within = ndimage.distance_transform_edt(mask) / per_px
    rows = np.flatnonzero(mask.any(axis=1))
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    along = (y - rows[0]) / max(rows[-1] - rows[0], 1)
    middles = [np.flatnonzero(mask[row]).mean() for row in rows]
    axis = np.interp(np.arange(mask.shape[0]), rows, middles)[:, None]
    wall = (along > _WALLS[0]) & (along < _WALLS[1])
    grey = 100.0 * frame / max(float(np.percentile(frame, _BRIGHT)), _LEAST_GREY)
    found = []
    for side in (x < axis, x > axis):
        rings = [wall & side & (d > _NEAR) & (d < _FAR) for d in (away, within)]
        outside, inside = (grey[r].mean() if r.any() else np.nan for r in rings)
        found.append(outside - inside)
    return np.array(found, np.float64)
