"""What the masks of several structures measure, per beat and over the beats of a clip."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from echodfkd_jax.masks import LV, MASK_THRESHOLD
from echodfkd_jax.measurement import area_length, chambers, disks, outline, wall
from echodfkd_jax.measurement.beats import Beat
from echodfkd_jax.measurement.ejection_fraction import ejection_fraction_percent
from echodfkd_jax.measurement.excursion import excursion_px
from echodfkd_jax.measurement.outline import Outline
from echodfkd_jax.measurement.strain import longitudinal_percent
from echodfkd_jax.types import NamedMasks

MUSCLE, LEFT_ATRIUM, RIGHT_VENTRICLE = "lv_myocardium", "la", "rv"


class Kind(NamedTuple):
    """What a measure is.

    Attributes:
        label: in words.
        structure: of which masks are needed, besides the left ventricle's.
        power: of pixels: 1 a length, 2 an area, 3 a volume; 0 percent.
    """

    label: str
    structure: str
    power: int


KINDS = {
    "lv_edv_disks": Kind("LV end-diastolic volume, disks", LV, 3),
    "lv_esv_disks": Kind("LV end-systolic volume, disks", LV, 3),
    "lv_ef_disks": Kind("Ejection fraction, disks", LV, 0),
    "lv_edv_area_length": Kind("LV end-diastolic volume, area-length", LV, 3),
    "lv_esv_area_length": Kind("LV end-systolic volume, area-length", LV, 3),
    "lv_ef_area_length": Kind("Ejection fraction, area-length", LV, 0),
    "lv_length_ed": Kind("LV length at end-diastole", LV, 1),
    "lv_length_es": Kind("LV length at end-systole", LV, 1),
    "lv_strain": Kind("Longitudinal strain", LV, 0),
    "mitral_excursion": Kind("Mitral-plane excursion", LV, 1),
    "mitral_excursion_septal": Kind("Mitral-plane excursion, septal", LV, 1),
    "mitral_excursion_lateral": Kind("Mitral-plane excursion, lateral", LV, 1),
    "lv_wall_septal": Kind("Septal wall thickness", MUSCLE, 1),
    "lv_wall_lateral": Kind("Lateral wall thickness", MUSCLE, 1),
    "lv_myocardium_area": Kind("LV myocardial area", MUSCLE, 2),
    "la_area_ed": Kind("LA area at end-diastole (least)", LEFT_ATRIUM, 2),
    "la_area_es": Kind("LA area at end-systole (largest)", LEFT_ATRIUM, 2),
    "la_emptying": Kind("LA emptying fraction", LEFT_ATRIUM, 0),
    "rv_area_ed": Kind("RV area at end-diastole", RIGHT_VENTRICLE, 2),
    "rv_area_es": Kind("RV area at end-systole", RIGHT_VENTRICLE, 2),
    "rv_area_change": Kind("RV fractional area change", RIGHT_VENTRICLE, 0),
}
# By power; of a pixel's side in mm to that power.
_UNITS_PX = ("percent", "px", "px2", "px3")
_UNITS = ("percent", "mm", "cm2", "ml")
_MM_PER_UNIT = (1.0, 1.0, 100.0, 1000.0)


@dataclasses.dataclass(frozen=True)
class Measure:
    """One number about the heart.

    Attributes:
        unit: percent; mm, cm2, ml; or px, px2, px3 where the pixel spacing is unknown.
        beats: of each beat; nan where its masks do not say it.
    """

    unit: str
    beats: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over the beats that say it; nan without any."""
        known = self._known()
        return float(known.mean()) if len(known) else math.nan

    @property
    def sd(self) -> float:
        """Standard deviation over these beats (of a sample: n - 1); nan for fewer than two."""
        known = self._known()
        return float(known.std(ddof=1)) if len(known) > 1 else math.nan

    def _known(self) -> np.ndarray:
        values = np.array(self.beats, np.float64)
        return values[~np.isnan(values)]


def measure_clip(
    masks: NamedMasks,
    beats: Sequence[Beat],
    pixel_spacing_mm: float = math.nan,
    *,
    sides_known: bool = True,
) -> dict[str, Measure]:
    """Measures every beat.

    Args:
        masks: of every frame, pixels as high as wide, apex at the top; the left ventricle's and
            any of the others.
        beats: in order of time.
        pixel_spacing_mm: side of a mask's pixel; nan when unknown.
        sides_known: whether the septum is on the left of the picture, as `mirror` turns it; False
            where that is in doubt, and nothing is said of either side.

    Returns:
        By name, all of `KINDS` in their order; nan in every beat where a structure is missing.
    """
    clip = _Clip(masks, sides_known)
    rows = [clip.beat(beat) for beat in beats]
    known = math.isfinite(pixel_spacing_mm)
    made = {}
    for name, (_, _, power) in KINDS.items():
        scale = pixel_spacing_mm**power / _MM_PER_UNIT[power] if known else 1.0
        values = tuple(row.get(name, math.nan) * scale for row in rows)
        made[name] = Measure(_UNITS[power] if known else _UNITS_PX[power], values)
    return made


class _Clip:
    """The masks of a clip, and what its beats measure in pixels."""

    def __init__(self, masks: NamedMasks, sides_known: bool) -> None:
        self._masks, self._sides_known = masks, sides_known
        self._muscle = self._binary(MUSCLE)
        self._areas = {
            name: chambers.areas_px(binary)
            for name in (LEFT_ATRIUM, RIGHT_VENTRICLE)
            if (binary := self._binary(name)) is not None
        }

    def beat(self, beat: Beat) -> dict[str, float]:
        """What is known of one beat, by name, in pixels and percent."""
        lv = self._masks.of(LV)
        ed, es = (outline.trace(lv[frame]) for frame in beat)
        found = _volumes(lv[beat.ed_frame], lv[beat.es_frame], ed, es)
        if ed is not None:
            found |= self._wall(beat.ed_frame, ed)
        if ed is not None and es is not None:
            found["lv_strain"] = longitudinal_percent(ed, es)
            moved = excursion_px(ed, es)
            found["mitral_excursion"] = moved.ring
            found |= self._by_side("mitral_excursion", moved.left, moved.right)
        for name, areas in self._areas.items():
            at_ed, at_es = chambers.ed_and_es_px(areas, beat)
            found |= {f"{name}_area_ed": at_ed, f"{name}_area_es": at_es}
            # The atrium is full when the ventricles are empty.
            if name == LEFT_ATRIUM:
                found["la_emptying"] = chambers.change_percent(at_es, at_ed)
            else:
                found["rv_area_change"] = chambers.change_percent(at_ed, at_es)
        return found

    def _binary(self, structure: str) -> Bool[np.ndarray, "t h w"] | None:
        if structure not in self._masks.structures:
            return None
        return self._masks.of(structure) > MASK_THRESHOLD

    def _wall(self, frame: int, ed: Outline) -> dict[str, float]:
        if self._muscle is None:
            return {}
        thickness = wall.thickness_px(self._muscle[frame], ed)
        return {
            "lv_myocardium_area": wall.area_px(self._muscle[frame]),
            **self._by_side("lv_wall", thickness.left, thickness.right),
        }

    def _by_side(self, name: str, left: float, right: float) -> dict[str, float]:
        return {f"{name}_septal": left, f"{name}_lateral": right} if self._sides_known else {}


def _volumes(
    ed_mask: UInt8[np.ndarray, "h w"],
    es_mask: UInt8[np.ndarray, "h w"],
    ed: Outline | None,
    es: Outline | None,
) -> dict[str, float]:
    """By disks, which need no outline, and by area and length, which do."""
    largest = [disks.largest_part(mask > MASK_THRESHOLD) for mask in (ed_mask, es_mask)]
    if not all(mask.any() for mask in largest):
        return {}
    found = _fraction("disks", *(disks.volume_px3(mask) for mask in largest))
    if ed is None or es is None:
        return found
    found |= {"lv_length_ed": ed.length_px, "lv_length_es": es.length_px}
    volumes = [
        area_length.volume_px3(float(mask.sum()), traced.length_px)
        for mask, traced in zip(largest, (ed, es))
    ]
    return found | _fraction("area_length", *volumes)


def _fraction(method: str, edv: float, esv: float) -> dict[str, float]:
    return {
        f"lv_edv_{method}": edv,
        f"lv_esv_{method}": esv,
        f"lv_ef_{method}": ejection_fraction_percent(edv, esv),
    }
