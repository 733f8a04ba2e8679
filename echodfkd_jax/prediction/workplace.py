"""An outlined clip that somebody works on: what the page shows of it, and what it may ask."""

import dataclasses
import pathlib
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from echodfkd_jax import files
from echodfkd_jax.clips.inputs import SIDE_PX
from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.viewers import dicom
from echodfkd_jax.interop.viewers.formats import Format
from echodfkd_jax.measurement import mirror
from echodfkd_jax.measurement.beats import Beat
from echodfkd_jax.prediction import corrections as correcting
from echodfkd_jax.prediction import outlines
from echodfkd_jax.prediction.clip import ClipPrediction, outlined
from echodfkd_jax.reporting import predictions
from echodfkd_jax.types import NamedMasks

# Pictures for the screen: the clip's own pixels, where it has more than the student saw.
_MAX_SHOWN_PX = 448
_JPEG_QUALITY = 90
# The format that only clips of DICOM files have.
DICOM = "dicom"


class WorkClip:
    """A clip with its outlines, without the pixels of its file; see `page.work.WorkClip`.

    Attributes:
        name: of its results.
        num_bytes: that it takes in memory, about.
    """

    def __init__(
        self,
        found: ClipPrediction,
        content: Mapping[str, Any],
        path: pathlib.Path | None = None,
        formats: Mapping[str, Format] | None = None,
    ) -> None:
        """Draws the pictures and keeps of the file what formats need: packed pixels, DICOM tags.

        Args:
            found: the clip with its outline.
            content: of its JSON, as `prediction.clip.describe` gives it.
            path: the clip's own file, which need not last.
            formats: as what it can be downloaded besides, by name.
        """
        self.name = content["name"]
        self._content = files.plain(dict(content))
        self._pictures = _pictures(found)
        height, width = found.clip.frames.shape[1:]
        is_dicom = path is not None and found.clip.stored is not None
        self._formats = {n: f for n, f in (formats or {}).items() if n != DICOM or is_dicom}
        self._tags = dicom.tags_of(path) if path is not None and is_dicom else b""
        self._shape = found.clip.frames.shape
        self._packed = zlib.compress(found.clip.frames.tobytes(), 1) if self._formats else b""
        bare = found.clip._replace(frames=np.zeros((0, height, width), np.uint8))
        self._found = dataclasses.replace(found, clip=bare)
        self._found_beats = tuple(Beat(beat.ed_frame, beat.es_frame) for beat in found.report.beats)
        arrays = found.fitted.frames.nbytes + found.masks.masks.nbytes
        self.num_bytes = arrays + sum(map(len, (*self._pictures, self._packed, self._tags)))

    def opened(self) -> dict[str, Any]:
        """What stays: the predicted record, and the outline of every frame by structure."""
        masks = self._found.masks
        return {
            "side_px": SIDE_PX,
            "most_points": outlines.MOST_POINTS,
            "formats": list(self._formats),
            "predicted": self._content,
            "outlines": {
                structure: [np.round(outlines.of_mask(m), 2).tolist() for m in masks.of(structure)]
                for structure in masks.structures
            },
        }

    def pictures(self) -> Sequence[bytes]:
        """Every frame as JPEG, square, without outline."""
        return self._pictures

    def measured(self, content: Any) -> dict[str, Any]:
        """Measures the clip as it is corrected.

        Args:
            content: corrections as `corrections.parse` takes them; None: none.

        Returns:
            `corrections` as they were understood, and the whole `record`.

        Raises:
            UserError: they are no corrections of this clip.
        """
        corrections = self._parsed(content)
        masks = correcting.corrected_masks(self._found, corrections)
        return {
            "corrections": correcting.to_json(corrections),
            "record": self._record(corrections, masks),
        }

    def write_results(self, content: Any, folder: pathlib.Path, name: str, form: str = "") -> None:
        """Writes the files of the prediction, and where it was corrected, those of the correction.

        Args:
            content: corrections, or None.
            folder: exists.
            name: of the files, without suffix; those of the correction are `<name>.corrected`.
            form: one of `opened()["formats"]`, which alone is written; empty: the project's own.

        Raises:
            UserError: the clip cannot be written so.
        """
        if form:
            self._write_as(form, self._written(content, name), folder)
            return
        found = self._found
        for stem, masks, record in self._written(content, name):
            frames = found.fitted.frames
            predictions.write_clip(folder, stem, frames, masks, record, found.fps, found.times_s)

    def _written(self, content: Any, name: str) -> list[tuple[str, NamedMasks, dict[str, Any]]]:
        """Name, masks and record of the prediction and of its correction, if there is one."""
        found, corrections = self._found, self._parsed(content)
        written = [(name, found.masks, self._content)]
        if correcting.to_json(corrections) is not None:
            masks = correcting.corrected_masks(found, corrections)
            written.append((f"{name}.corrected", masks, self._record(corrections, masks)))
        return [(stem, masks, {**record, "name": stem}) for stem, masks, record in written]

    def _write_as(
        self,
        form: str,
        written: Sequence[tuple[str, NamedMasks, dict[str, Any]]],
        folder: pathlib.Path,
    ) -> None:
        if form not in self._formats:
            known = ", ".join(self._formats) or "nothing else"
            raise UserError(f"{self.name}: {form!r} is not offered; this clip goes as {known}")
        pixels = np.frombuffer(zlib.decompress(self._packed), np.uint8).reshape(self._shape)
        clip = self._found.clip._replace(frames=pixels)
        with tempfile.TemporaryDirectory(prefix="echodfkd_page_") as place:
            path = pathlib.Path(place) / f"{self.name}.dcm"
            path.write_bytes(self._tags)
            for stem, masks, record in written:
                found = dataclasses.replace(self._found, clip=clip, masks=masks)
                given = outlined(found, path if self._tags else None, record)
                for suffix, made in self._formats[form].files(given).items():
                    files.write_bytes(folder / f"{stem}{suffix}", made)

    def corrected(self, content: Any) -> tuple[ClipPrediction, correcting.Corrections]:
        """What `corrections.write_folder` takes of it."""
        return self._found, self._parsed(content)

    def _parsed(self, content: Any) -> correcting.Corrections:
        if content is None:
            return correcting.Corrections()
        return correcting.parse(content, len(self._found.fitted.frames))

    def _record(self, corrections: correcting.Corrections, masks: Any) -> dict[str, Any]:
        report = correcting.remeasure(self._found, masks, corrections)
        return {
            **self._content,
            **predictions.numbers(report, masks),
            "corrected_frames": list(corrections.outlines),
            "beats_corrected": corrections.beats not in (None, self._found_beats),
        }


def write_corrections(folder: pathlib.Path, corrected: Sequence[tuple[str, WorkClip, Any]]) -> None:
    """Writes the corrections alone: a folder to learn from, and `corrections.json`.

    Args:
        folder: exists and is empty.
        corrected: name, clip and corrections of each; names are file names, and differ.
    """
    parsed = [(name, *clip.corrected(content)) for name, clip, content in corrected]
    files.write_json(folder / "corrections.json", {name: c for name, _, c in corrected}, indent=2)
    traced = [(name, found, made) for name, found, made in parsed if made.outlines]
    correcting.write_folder(folder, traced)


def _pictures(found: ClipPrediction) -> list[bytes]:
    """Frames as the student saw them, left and right, in the file's own resolution."""
    box = found.fitted.box
    side = min(max(box.height, box.width, SIDE_PX), _MAX_SHOWN_PX)
    rows = slice(box.top, box.top + box.height)
    columns = slice(box.left, box.left + box.width)
    made = []
    for frame in found.clip.frames:
        part = frame[rows, columns]
        if found.exchanged:
            part = mirror.mirror_frames(part[None])[0]
        if part.shape != (side, side):
            shrinks = min(part.shape) >= side
            method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
            part = cv2.resize(part, (side, side), interpolation=method)
        quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        made.append(cv2.imencode(".jpg", np.ascontiguousarray(part), quality)[1].tobytes())
    return made
