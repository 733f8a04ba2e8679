"""What a clip's masks say without any reference: beats, ejection fraction, how sure that is."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float64

from echodfkd_jax.masks import LV_ALONE, MASK_THRESHOLD
from echodfkd_jax.measurement import disks, verdict
from echodfkd_jax.measurement.beats import Beat, describe_beats, find_beats
from echodfkd_jax.measurement.ejection_fraction import ejection_fraction_percent
from echodfkd_jax.measurement.measures import Measure, measure_clip
from echodfkd_jax.measurement.trust import Trust
from echodfkd_jax.measurement.view import MAX_UNSURE_BAND, View, describe_view
from echodfkd_jax.types import NamedMasks, SoftMask


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
        beat_length_frames: mean over them; nan when unknown.
        heart_rate_per_min: from the beats found; nan when unknown.
        heart_rate_spread_per_min: standard deviation from beat to beat; nan when unknown.
        confidence: 0..1, the least of: how well the curve repeats itself, in how many frames the
            mask looks like a ventricle, how sure the masks are, how well the beats agree; at most
            one half when the rhythm is irregular, when there is one whole beat only, when the
            view does not look like an apical four-chamber view, or when left and right are in
            doubt.
        verdict: "reliable", "look twice" or "do not use", see `verdict`.
        remarks: the reasons for it, plain sentences; none when nothing makes the numbers
            unreliable.
        measures: what else the structures say, by name; see `measures`.
        trust: how far the outlines are to be trusted; None where nobody judged them.
    """

    beats: tuple[BeatNumbers, ...]
    ef_area_percent: float
    ef_disks_percent: float
    beat_length_frames: float
    heart_rate_per_min: float
    heart_rate_spread_per_min: float
    confidence: float
    verdict: str
    remarks: tuple[str, ...]
    measures: Mapping[str, Measure]
    trust: Trust | None


def report_clip(
    mask: SoftMask,
    fps: float = math.nan,
    pixel_spacing_mm: float = math.nan,
    times_s: Float64[np.ndarray, "t"] | None = None,
    view: View | None = None,
    *,
    structures: NamedMasks | None = None,
    side_doubt: str = "",
    beats: Sequence[Beat] | None = None,
    trust: Trust | None = None,
) -> ClipReport:
    """Finds the beats in a clip's soft masks and measures each of them.

    Args:
        mask: of every frame.
        fps: frames per second; nan when unknown.
        pixel_spacing_mm: side of a mask's pixel; nan when unknown.
        times_s: of every frame, where they are not evenly spaced.
        view: `describe_view` of the masks as the network gave them, where `mask` was refined
            since; None: of `mask`.
        structures: the soft masks of all structures; None: of the left ventricle alone.
        side_doubt: a remark where it could not be told whether the septum is on the left of the
            picture; nothing is said of either side then.
        beats: whose frames somebody named; None: they are found.
        trust: how far the outlines are to be trusted; None: nobody judged them.
    """
    binary = mask > MASK_THRESHOLD
    area = np.count_nonzero(binary, axis=(1, 2)).astype(np.float64)
    if beats is None:
        found = find_beats(area, fps, times_s)
    else:
        found = describe_beats(area, beats, fps, times_s)
    measured = tuple(
        _measure(binary[ed], binary[es], ed, es, pixel_spacing_mm) for ed, es in found.beats
    )
    view = view or describe_view(mask)
    by_disks = np.array([beat.ef_disks_percent for beat in measured])
    unsure = min(view.unsure_band / MAX_UNSURE_BAND, 1.0)
    alone = verdict.is_alone(found)
    factors = [view.plausible, 1 - unsure / 2, 0.5 if alone else found.periodicity]
    if not view.four_chamber or side_doubt:
        factors.append(0.5)
    if len(measured) > 1:
        factors.append(max(0.0, 1 - float(by_disks.std()) / 20))  # 20 points apart: worthless.
    given = verdict.give(found, view, trust, side_doubt)
    return ClipReport(
        beats=measured,
        ef_area_percent=_mean(np.array([beat.ef_area_percent for beat in measured])),
        ef_disks_percent=_mean(by_disks),
        beat_length_frames=found.length_frames,
        heart_rate_per_min=found.rate_per_min,
        heart_rate_spread_per_min=found.spread_per_min,
        confidence=min(factors) if measured else 0.0,
        verdict=given.word,
        remarks=given.reasons,
        measures=measure_clip(
            structures or NamedMasks(mask[..., None], LV_ALONE),
            found.beats,
            pixel_spacing_mm,
            sides_known=not side_doubt,
        ),
        trust=trust,
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


def _mean(values: Float64[np.ndarray, "n"]) -> float:
    return float(values.mean()) if len(values) else math.nan
