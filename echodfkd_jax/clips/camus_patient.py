"""One patient of CAMUS, one view: checked once when the folder is opened, read when asked for.

Info_4CH.cfg                                 frames of ED and ES, frame rate, ejection fraction
patient0001_4CH_half_sequence.nii.gz         from ED to ES, or from ES to ED
patient0001_4CH_half_sequence_gt.nii.gz      labels of all its frames (optional)
patient0001_4CH_ED_gt.nii.gz, _ES_gt         labels of the two
patient0001_4CH_ED.nii.gz, _ES               the two frames; read where there is no sequence
"""

import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from echodfkd_jax.clips import camus_info, display, inputs, nifti, video
from echodfkd_jax.clips.entries import Note
from echodfkd_jax.clips.layout_report import Rules
from echodfkd_jax.clips.nifti import Nifti
from echodfkd_jax.errors import UserError
from echodfkd_jax.types import Clip, Frames

VIEWS = ("4CH", "2CH")
# Label 1, 2 and 3; the right side of the heart is not outlined.
STRUCTURES = ("lv", "lv_myocardium", "la")
_LV, _LA = STRUCTURES.index("lv"), STRUCTURES.index("la")

RULES = Rules(
    left_out={
        "missing": "named in database_split, but there is no such patient: left out",
        "unlisted": "a patient that no list of database_split names, so of no split: left out",
        "other_view": "has files of the other view only (config.dataset.view): left out",
        "missing_file": "a file of this view is not there: left out",
        "bad_info": "its Info file lacks a value or has one that cannot be: left out",
        "unreadable": "a NIfTI file that is damaged, or holds no grey values or labels: left out",
        "mismatch": "files of one view that do not fit together: left out",
        "orientation": "x and y are exchanged, or the atrium is not below the ventricle: left out",
        "no_outline": "the ventricle is not outlined at ED or ES: left out",
        "too_short": "fewer frames than config.dataset.min_frames: left out",
    },
    used={
        "stills": "no half sequence: ED and ES are a clip of two frames, frame rate unknown",
        "ends_traced": "no labels of the half sequence: reference masks at ED and ES alone",
        "untraced_frames": "frames of the half sequence without any label: no reference masks",
        "larger_at_es": "the ventricle's outline is larger at ES than at ED: used as it is named",
        "cut_off": "outlines that reach out of the square around the middle: cut off there",
    },
    tables={},
)


class LeftOutError(UserError):
    """Why a patient cannot be used.

    Attributes:
        rule: of `RULES`.
    """

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


@dataclasses.dataclass(frozen=True)
class Patient:
    """A patient's files of one view, not read yet.

    Attributes:
        name: as the folder is called.
        folder: with the files.
        view: one of `VIEWS`.
        split: "train", "validation" or "test".
    """

    name: str
    folder: pathlib.Path
    view: str
    split: str

    @property
    def clip_name(self) -> str:
        """Of the clip."""
        return f"{self.name}_{self.view}"

    def find(self, part: str) -> pathlib.Path | None:
        """The NIfTI file of a part, such as "ED_gt"; None where there is none."""
        return nifti.find(self.folder / f"{self.clip_name}_{part}")

    def need(self, part: str) -> pathlib.Path:
        """The same.

        Raises:
            LeftOutError: there is none.
        """
        path = self.find(part)
        if path is None:
            name = f"{self.clip_name}_{part}{nifti.SUFFIXES[0]}"
            raise LeftOutError("missing_file", f"{self.folder / name}: no such file")
        return path


class _Pixels(NamedTuple):
    """What the files hold, in their pixels.

    Attributes:
        frames: uint8 (t, h, w).
        labels: uint8 (n, h, w), of `traced`.
        traced: frames that are outlined, ascending.
        ed_frame: of `frames`.
        es_frame: likewise.
        spacing_mm: height and width of a pixel.
    """

    frames: Frames
    labels: UInt8[np.ndarray, "n h w"]
    traced: np.ndarray
    ed_frame: int
    es_frame: int
    spacing_mm: tuple[float, float]


def check(patient: Patient, *, min_frames: int) -> tuple[Patient | None, list[Note]]:
    """Reads a patient's clip and forgets it again.

    Returns:
        The patient, or None where the clip cannot be used, and the rules that were applied.
    """
    notes: list[Note] = []
    try:
        clip = _clip(patient, notes)
        if len(clip.frames) < min_frames:
            reason = f"{len(clip.frames)} frames; config.dataset.min_frames is {min_frames}"
            raise LeftOutError("too_short", reason)
    except LeftOutError as error:
        return None, [Note(error.rule, str(error))]
    return patient, notes


def read(patient: Patient) -> Clip:
    """Reads a patient's clip: square pixels, the square around the middle, 112 x 112.

    Raises:
        UserError: a file changed since the folder was opened and cannot be used any more.
    """
    return _clip(patient, [])


def _clip(patient: Patient, notes: list[Note]) -> Clip:
    other = VIEWS[1 - VIEWS.index(patient.view)]
    info_path = patient.folder / f"Info_{patient.view}.cfg"
    if not info_path.is_file():
        if not any(patient.folder.glob(f"*_{patient.view}_*")) and any(
            patient.folder.glob(f"*_{other}_*")
        ):
            reason = f"{patient.folder}: has files of {other} only, none of {patient.view}"
            raise LeftOutError("other_view", reason)
        raise LeftOutError("missing_file", f"{info_path}: no such file")
    with _as("bad_info"):
        info = camus_info.read_info(info_path)
    with _as("unreadable"):
        found = _pixels(patient, info, notes)
    fitted, masks = _fit(patient, found, notes)
    _check_anatomy(patient, masks)
    ends = np.isin(found.traced, (found.ed_frame, found.es_frame))
    first, last = masks[ends, ..., _LV].sum(axis=(1, 2))
    at_ed, at_es = (first, last) if found.ed_frame < found.es_frame else (last, first)
    if at_es > at_ed:
        notes.append(Note("larger_at_es", f"{at_ed} pixels of 112x112 at ED, {at_es} at ES"))
    return Clip(
        name=patient.clip_name,
        frames=fitted,
        fps=info.fps if patient.find("half_sequence") else math.nan,
        ef_percent=info.ef_percent,
        edv_ml=math.nan,
        esv_ml=math.nan,
        ed_frame=found.ed_frame,
        es_frame=found.es_frame,
        reference_frames=found.traced.astype(np.int32),
        reference_masks=masks,
        reference_structures=STRUCTURES,
    )


@contextlib.contextmanager
def _as(rule: str) -> Iterator[None]:
    """What is wrong within the block is under a rule, unless it is under another already."""
    try:
        yield
    except LeftOutError:
        raise
    except UserError as error:
        raise LeftOutError(rule, str(error)) from error


def _pixels(patient: Patient, info: camus_info.Info, notes: list[Note]) -> _Pixels:
    sequence = patient.find("half_sequence")
    if sequence is None:
        notes.append(Note("stills"))
        ed, es = (nifti.read_nifti(patient.need(part)) for part in ("ED", "ES"))
        _check_pair(ed, es, num_frames=1)
        frames = np.concatenate([nifti.frames(ed), nifti.frames(es)])
        shown, ed_frame, es_frame = ed, 0, 1
    else:
        shown = nifti.read_nifti(sequence)
        frames, ed_frame, es_frame = nifti.frames(shown), info.ed_frame, info.es_frame
        if len(frames) != info.num_frames:
            reason = f"{sequence}: {len(frames)} frames; NbFrame of its Info file is "
            raise LeftOutError("mismatch", f"{reason}{info.num_frames}")
    ends = [_labels(patient.need(part), shown, num_frames=1) for part in ("ED_gt", "ES_gt")]
    for name, end in zip(("ED", "ES"), ends):
        if not (end == 1 + _LV).any():
            path = patient.need(f"{name}_gt")
            raise LeftOutError("no_outline", f"{path}: no pixel is {1 + _LV}, the ventricle's")
    whole = patient.find("half_sequence_gt") if sequence else None
    if whole is None:
        if sequence:
            notes.append(Note("ends_traced"))
        order = np.argsort([ed_frame, es_frame])
        traced = np.array([ed_frame, es_frame])[order]
        labels = np.concatenate(ends)[order]
    else:
        labels = _labels(whole, shown, num_frames=len(frames))
        labels[ed_frame], labels[es_frame] = ends[0][0], ends[1][0]
        traced = np.flatnonzero(labels.any(axis=(1, 2)))
        if len(traced) < len(labels):
            count = len(labels) - len(traced)
            notes.append(Note("untraced_frames", f"{count} of {len(labels)} frames"))
        labels = labels[traced]
    return _Pixels(frames, labels, traced, ed_frame, es_frame, shown.spacing_mm)


def _labels(path: pathlib.Path, shown: Nifti, *, num_frames: int) -> UInt8[np.ndarray, "t h w"]:
    """Labels that fit to the frames."""
    found = nifti.read_nifti(path)
    _check_pair(shown, found, num_frames=num_frames)
    return nifti.labels(found, len(STRUCTURES))


def _check_pair(one: Nifti, other: Nifti, *, num_frames: int) -> None:
    """Refuses a file that does not belong to another."""
    size, wanted = other.values.shape[1:], one.values.shape[1:]
    sizes = "{}x{} pixels, {} has {}x{}".format(*size[::-1], one.path.name, *wanted[::-1])
    if size != wanted and size == wanted[::-1]:
        raise LeftOutError("orientation", f"{other.path}: {sizes}; x and y are exchanged")
    if size != wanted:
        raise LeftOutError("mismatch", f"{other.path}: {sizes}; expected the same")
    if len(other.values) != num_frames:
        reason = f"{other.path}: {len(other.values)} frames; expected {num_frames}"
        raise LeftOutError("mismatch", reason)
    if not np.allclose(one.spacing_mm, other.spacing_mm, rtol=nifti.SAME_SIZE_WITHIN):
        sizes = " and ".join("{1:g} x {0:g} mm".format(*file.spacing_mm) for file in (other, one))
        reason = f"{other.path}: pixels are {sizes} in {one.path.name}; expected the same"
        raise LeftOutError("mismatch", reason)
    if None not in (one.axes, other.axes) and one.axes != other.axes:
        reason = f"{other.path}: axes run along {other.axes}, those of {one.path.name} along"
        raise LeftOutError("orientation", f"{reason} {one.axes}; expected the same")


def _fit(
    patient: Patient, found: _Pixels, notes: list[Note]
) -> tuple[Frames, Bool[np.ndarray, "n 112 112 s"]]:
    """Frames and masks of the project's size; a pixel is of the label that covers most of it."""
    aspect = found.spacing_mm[1] / found.spacing_mm[0]
    with _as("unreadable"):
        _, height, width = found.frames.shape
        shape = display.square_shape(height, width, aspect)
        video.check_size(patient.folder, len(found.frames), *shape)

    def square(frames: np.ndarray) -> inputs.SourceClip:
        pixels = display.square_pixels(frames, aspect)
        return inputs.SourceClip(pixels, math.nan, (math.nan, math.nan), ())

    shares, outlined, outside = [], 0, 0
    for label in range(1 + len(STRUCTURES)):
        whole = square(np.where(found.labels == label, 255, 0).astype(np.uint8))
        share, box, _ = inputs.fit(whole)
        shares.append(share)
        if label:
            rows, columns = slice(box.top, box.top + box.height), slice(box.left, None)
            shown = whole.frames[:, rows, columns][..., : box.width]
            count = np.count_nonzero(whole.frames)
            outlined, outside = outlined + count, outside + count - np.count_nonzero(shown)
    if outside:
        notes.append(Note("cut_off", f"{100 * outside / outlined:.2g} % of the outlined pixels"))
    fullest = np.argmax(shares, axis=0)
    masks = np.stack([fullest == label for label in range(1, 1 + len(STRUCTURES))], axis=-1)
    return inputs.fit(square(found.frames)).frames, masks


def _check_anatomy(patient: Patient, masks: Bool[np.ndarray, "n h w s"]) -> None:
    """Refuses a clip whose apex is not at the top: the atrium lies below the ventricle."""
    both = masks[..., [_LV, _LA]].any(axis=(1, 2)).all(axis=-1)
    if not both.any():
        return
    y, x = np.mgrid[: masks.shape[1], : masks.shape[2]]
    middles = [
        [np.mean([place[mask].mean() for mask in masks[both, ..., index]]) for place in (x, y)]
        for index in (_LV, _LA)
    ]
    right, down = np.subtract(middles[1], middles[0])
    if down <= abs(right):
        raise LeftOutError(
            "orientation",
            f"{patient.folder}: in {patient.view} the atrium's middle is {right:.0f} px to the "
            f"right of the ventricle's and {down:.0f} px below it, of 112; expected it below: x "
            "and y may be exchanged, or y may run upwards",
        )
