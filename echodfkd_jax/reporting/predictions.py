"""The files of a predicted clip, and the table over all clips of a prediction."""

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import Float64

from echodfkd_jax import files
from echodfkd_jax.masks import LV, MASK_THRESHOLD, file_stem
from echodfkd_jax.measurement.clip_report import ClipReport
from echodfkd_jax.measurement.trust import GOOD_DICE, Trust
from echodfkd_jax.reporting import overlays, plots
from echodfkd_jax.types import Frames, NamedMasks, SoftMask

TABLE_FILE = "predictions.csv"
DISCLAIMER = "Research software, not a medical device: not for diagnosis or treatment."
# Bars over the frames of end-diastole and end-systole.
_ED_MARK = (255, 255, 255)
_ES_MARK = (150, 150, 150)
_COLUMNS = (
    "name",
    "source",
    "status",
    "num_frames",
    "fps",
    "num_beats",
    "heart_rate_per_min",
    "heart_rate_spread_per_min",
    "ef_area_percent",
    "ef_disks_percent",
    "edv_ml",
    "esv_ml",
    "confidence",
    "verdict",
    "expected_dice",
    "expected_dice_low",
    "expected_dice_high",
    "remarks",
)


def numbers(report: ClipReport, masks: NamedMasks) -> dict[str, Any]:
    """What a clip's JSON says about the heart, nan as None.

    Args:
        report: of the clip.
        masks: its soft masks, for the areas of every frame.
    """
    beats = [dataclasses.asdict(beat) for beat in report.beats]
    found = {
        "ed_frames": [beat.ed_frame for beat in report.beats],
        "es_frames": [beat.es_frame for beat in report.beats],
        "ef_area_percent": report.ef_area_percent,
        "ef_disks_percent": report.ef_disks_percent,
        "edv_ml": _mean([beat.edv_ml for beat in report.beats]),
        "esv_ml": _mean([beat.esv_ml for beat in report.beats]),
        "heart_rate_per_min": report.heart_rate_per_min,
        "heart_rate_spread_per_min": report.heart_rate_spread_per_min,
        "beat_length_frames": report.beat_length_frames,
        "confidence": report.confidence,
        "verdict": report.verdict,
        "remarks": list(report.remarks),
        **_trusted(report.trust),
        "beats": beats,
        "measures": {
            name: {
                "unit": measure.unit,
                "mean": measure.mean,
                "sd": measure.sd,
                "beats": list(measure.beats),
            }
            for name, measure in report.measures.items()
        },
        "area_px": _area(masks.of(LV)).astype(int).tolist(),
    }
    others = [structure for structure in masks.structures if structure != LV]
    if others:
        found["areas_px"] = {name: _area(masks.of(name)).astype(int).tolist() for name in others}
    return _rounded(files.plain(found))


def _trusted(trust: Trust | None) -> dict[str, Any]:
    """What is expected of the outlines; all of it None where nobody judged them."""
    names = ("expected_dice", "expected_dice_low", "expected_dice_high")
    if trust is None:
        return {**dict.fromkeys(names), "expected_dice_of_frames": None, "doubted": []}
    return {
        **dict(zip(names, trust.clip)),
        "expected_dice_of_frames": [list(frame) for frame in trust.frames],
        "doubted": list(trust.doubted),
    }


def write_clip(
    directory: files.PathLike,
    name: str,
    frames: Frames,
    masks: NamedMasks,
    content: Mapping[str, Any],
    fps: float,
    times_s: Float64[np.ndarray, "t"] | None = None,
) -> None:
    """Writes `<name>.seg.npz`, `.mp4`, `.png` and `.json`.

    Other structures than the left ventricle get `<name>.<structure>.seg.npz` besides.

    Args:
        directory: exists.
        name: a safe file name without suffix.
        frames: what the student saw.
        masks: what it said.
        content: of the JSON file, with `ed_frames` and `es_frames` as in `numbers`.
        fps: frames per second; nan when unknown.
        times_s: of every frame, where they are not evenly spaced.
    """
    folder = files.path_of(directory)
    ed_frames, es_frames = content["ed_frames"], content["es_frames"]
    for structure in masks.structures:
        with files.replacing(folder / f"{file_stem(name, structure)}.seg.npz") as file:
            np.savez_compressed(file, masks.of(structure))
    drawn = {"student" if name == LV else name: masks.of(name) for name in masks.structures}
    marks = dict.fromkeys(ed_frames, _ED_MARK) | dict.fromkeys(es_frames, _ES_MARK)
    pictures = overlays.clip_pictures(frames, drawn, marks=marks)
    files.write_bytes(folder / f"{name}.mp4", overlays.encode_mp4(pictures, fps))
    curve = plots.area_curves(
        {label: _area(mask) for label, mask in drawn.items()},
        ed_frames,
        es_frames,
        fps=fps,
        times_s=times_s,
        doubted=doubted_frames(content),
    )
    files.write_bytes(folder / f"{name}.png", curve)
    files.write_json(folder / f"{name}.json", stored({**content, "notice": DISCLAIMER}))


def doubted_frames(content: Mapping[str, Any]) -> list[int]:
    """Frames whose outline is expected to be a bad one, by a clip's JSON."""
    frames = content.get("expected_dice_of_frames") or []
    return [number for number, (dice, _, _) in enumerate(frames) if dice < GOOD_DICE]


def stored(content: Mapping[str, Any]) -> dict[str, Any]:
    """What comes back when a clip's JSON is read: four digits after the point, None for nan."""
    return _rounded(files.plain(dict(content)))


def is_whole(directory: files.PathLike, content: Mapping[str, Any]) -> bool:
    """Whether the files of `write_clip` are there beside a JSON with this content."""
    folder, name = files.path_of(directory), content["name"]
    stems = [file_stem(name, structure) for structure in (LV, *content.get("areas_px", ()))]
    names = [f"{name}.mp4", f"{name}.png", *(f"{stem}.seg.npz" for stem in stems)]
    return all((folder / name).is_file() for name in names)


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A clip's line of the table.

    Measures have two cells, of their mean and of their standard deviation over beats, with the
    unit in the name (`lv_strain_percent`, `lv_strain_percent_sd`).

    Args:
        row: name, source and status, and what its JSON has.
    """
    texts = {
        "remarks": " ".join(row.get("remarks", ())),
        "num_beats": len(row["beats"]) if "beats" in row else None,
    }
    cells = {**row, **texts}
    return {name: cells.get(name) for name in _COLUMNS} | _measured(row.get("measures", {}))


def write_table(directory: files.PathLike, rows: Sequence[Mapping[str, Any]]) -> epath.Path:
    """Writes one line per clip, the failed ones too, and returns the file.

    Measures that no clip has have no column.

    Args:
        directory: exists.
        rows: of each clip, as `flat` gives it.
    """
    table = io.StringIO(newline="")
    columns = dict.fromkeys((*_COLUMNS, *(name for row in rows for name in row)))
    writer: csv.DictWriter[str] = csv.DictWriter(table, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return files.write_text(files.path_of(directory) / TABLE_FILE, table.getvalue())


def summary_line(name: str, content: Mapping[str, Any]) -> str:
    """One clip in one line, for the terminal."""
    ef = content["ef_disks_percent"]
    beats = len(content["beats"])
    if ef is None:
        first = "no ejection fraction"
    else:
        plural = "" if beats == 1 else "s"
        first = (
            f"EF {ef:.0f} % by disks, {content['ef_area_percent']:.0f} % by areas, "
            f"{beats} beat{plural}, confidence {content['confidence']:.2f}"
        )
    return f"{name}: " + " ".join([f"{first}; {content['verdict']}.", *content["remarks"]])


def _measured(measures: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    """The cells of the measures that a clip has."""
    return {
        f"{name}_{measure['unit']}{suffix}": measure[key]
        for name, measure in measures.items()
        if measure["mean"] is not None
        for key, suffix in (("mean", ""), ("sd", "_sd"))
    }


def _area(mask: SoftMask) -> np.ndarray:
    return np.count_nonzero(mask > MASK_THRESHOLD, axis=(1, 2)).astype(np.float64)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _rounded(value: Any) -> Any:
    """The same with four digits after the point."""
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value
