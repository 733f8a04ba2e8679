"""What a clip's masks say without any reference: beats, ejection fraction, how sure that is."""

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float64

from echodfkd_jax.evaluation import disks
from echodfkd_jax.evaluation.beats import Beats, find_beats
from echodfkd_jax.evaluation.clip_metrics import MASK_THRESHOLD
from echodfkd_jax.evaluation.ejection_fraction import ejection_fraction_percent
from echodfkd_jax.types import SoftMask

# A left ventricle fills this part of an apical four-chamber picture.
AREA_FRACTION = (0.01, 0.4)
# So much of a mask is one connected part.
MIN_ONE_PART = 0.9
# In so many frames the mask has to look like a ventricle.
MIN_PLAUSIBLE = 0.8
# Pixels that are neither inside nor outside, 10 to 90 %, relative to those inside.
MAX_UNSURE = 0.6


@dataclasses.dataclass(frozen=True)
class BeatNumbers:
    """One contraction.

    Attributes:
        ed_frame: end-diastole.
        es_frame: end-systole.
        ef_area_percent: ejection fraction by areas.
        ef_disks_percent: ejection fraction by single-plane disks.
        edv_ml: volume at end-diastole; nan when the pixel spacing is unknown.
        esv_ml: volume at end-systole; nan when the pixel spacing is unknown.
    """

    ed_frame: int
    es_frame: int
    ef_area_percent: float
    ef_disks_percent: float
    edv_ml: float
    esv_ml: float


@dataclasses.dataclass(frozen=True)
class ClipReport:
    """One clip.

    Attributes:
        beats: every contraction.
        ef_area_percent: mean over them; nan without any.
        ef_disks_percent: mean over them; nan without any.
        beat_length_frames: from the autocorrelation; nan when unknown.
        confidence: 0..1, the least of: how well the curve repeats itself, in how many frames the
            mask looks like a ventricle, how sure the masks are, how well the beats agree.
        remarks: plain sentences about what makes the numbers unreliable; none when nothing does.
    """

    beats: tuple[BeatNumbers, ...]
    ef_area_percent: float
    ef_disks_percent: float
    beat_length_frames: float
    confidence: float
    remarks: tuple[str, ...]


def report_clip(
    mask: SoftMask, fps: float = math.nan, pixel_spacing_mm: float = math.nan
) -> ClipReport:
    """Finds the beats in a clip's soft masks and measures each of them.

    Args:
        mask: of every frame.
        fps: frames per second; nan when unknown.
        pixel_spacing_mm: side of a mask's pixel; nan when unknown.
    """
    binary = mask > MASK_THRESHOLD
    area = np.count_nonzero(binary, axis=(1, 2)).astype(np.float64)
    found = find_beats(area, fps)
    beats = tuple(
        _measure(binary[ed], binary[es], ed, es, pixel_spacing_mm) for ed, es in found.beats
    )
    plausible, unsure = _plausible_fraction(binary), _unsure_fraction(mask)
    by_disks = np.array([beat.ef_disks_percent for beat in beats])
    factors = [plausible, 1 - min(unsure / MAX_UNSURE, 1.0) / 2, found.periodicity]
    if len(beats) > 1:
        factors.append(max(0.0, 1 - float(by_disks.std()) / 20))  # 20 points apart: worthless.
    return ClipReport(
        beats=beats,
        ef_area_percent=_mean(np.array([beat.ef_area_percent for beat in beats])),
        ef_disks_percent=_mean(by_disks),
        beat_length_frames=found.length_frames,
        confidence=min(factors) if beats else 0.0,
        remarks=_remarks(found, plausible, unsure),
    )


def _measure(
    ed_mask: Bool[np.ndarray, "h w"],
    es_mask: Bool[np.ndarray, "h w"],
    ed_frame: int,
    es_frame: int,
    pixel_spacing_mm: float,
) -> BeatNumbers:
    volumes = [disks.volume_px3(mask) for mask in (ed_mask, es_mask)]
    return BeatNumbers(
        ed_frame=ed_frame,
        es_frame=es_frame,
        ef_area_percent=ejection_fraction_percent(float(ed_mask.sum()), float(es_mask.sum())),
        ef_disks_percent=ejection_fraction_percent(*volumes),
        edv_ml=disks.volume_ml(volumes[0], pixel_spacing_mm),
        esv_ml=disks.volume_ml(volumes[1], pixel_spacing_mm),
    )


def _plausible_fraction(binary: Bool[np.ndarray, "t h w"]) -> float:
    """Part of the frames whose mask is of a ventricle's size and in one piece."""
    if len(binary) == 0:
        return 0.0
    plausible = 0
    for mask in binary:
        area = np.count_nonzero(mask)
        sized = AREA_FRACTION[0] <= area / mask.size <= AREA_FRACTION[1]
        plausible += sized and np.count_nonzero(disks.largest_part(mask)) >= MIN_ONE_PART * area
    return plausible / len(binary)


def _unsure_fraction(mask: SoftMask) -> float:
    """Pixels of probability 10 to 90 %, relative to the pixels inside; large without any inside."""
    unsure = np.count_nonzero((mask > 25) & (mask < 230))
    return unsure / max(np.count_nonzero(mask > MASK_THRESHOLD), 1)


def _remarks(found: Beats, plausible: float, unsure: float) -> tuple[str, ...]:
    remarks = []
    if not found.beats:
        remarks.append("No contraction was found, so there is no ejection fraction.")
    elif not found.whole_beat:
        remarks.append("The clip does not show one whole beat; the ejection fraction is a guess.")
    if plausible < MIN_PLAUSIBLE or unsure > MAX_UNSURE:
        remarks.append("To the model this does not look like an apical four-chamber view.")
    return tuple(remarks)


def _mean(values: Float64[np.ndarray, "n"]) -> float:
    return float(values.mean()) if len(values) else math.nan
