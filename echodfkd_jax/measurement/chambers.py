"""Areas of the left atrium and of the right ventricle in a beat, and how much they change."""

import math

import numpy as np
from jaxtyping import Bool, Float64

from echodfkd_jax.measurement.beats import Beat
from echodfkd_jax.measurement.outline import is_cut

# An area is the mean over the frames around its own, to either side this part of the way from
# end-diastole to end-systole: there it hardly changes, and single masks count for less.
_AROUND = 1 / 8


def areas_px(binary: Bool[np.ndarray, "t h w"]) -> Float64[np.ndarray, "t"]:
    """Pixels of every frame; nan where there are none or the picture's edge cuts them."""
    return np.array(
        [float(mask.sum()) if mask.any() and not is_cut(mask) else math.nan for mask in binary]
    )


def ed_and_es_px(areas: Float64[np.ndarray, "t"], beat: Beat) -> tuple[float, float]:
    """A chamber's area at the left ventricle's end-diastole and at its end-systole.

    The left atrium is smallest at the one, when the mitral valve closes, and largest at the other,
    before it opens (Lang et al., chamber quantification, J Am Soc Echocardiogr 2015, 28:1-39). The
    frames are the ventricle's because extremes of the curve itself are those of its noise.

    Args:
        areas: of every frame.
        beat: its frames.

    Returns:
        nan where the area is not known in a frame that counts.
    """
    reach = round(abs(beat.es_frame - beat.ed_frame) * _AROUND)
    ed, es = (float(areas[max(frame - reach, 0) : frame + reach + 1].mean()) for frame in beat)
    return ed, es


def change_percent(full: float, emptied: float) -> float:
    """100 (full - emptied) / full; negative where the chamber grew.

    Of the left atrium the emptying fraction by area, full at end-systole; of the right ventricle
    the fractional area change, full at end-diastole (Lang et al., as above).

    Args:
        full: area, more than 0.
        emptied: area.
    """
    return 100 * (full - emptied) / full
