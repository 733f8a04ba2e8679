"""An outlined clip of a DICOM file with everything that a scanner writes, without a network."""

import cv2
import numpy as np
from pydicom.uid import generate_uid

from echodfkd_jax.clips import inputs
from echodfkd_jax.interop.viewers.formats import Outlined
from echodfkd_jax.measurement.view import describe_view
from echodfkd_jax.prediction import clip
from echodfkd_jax.prediction.clip import ClipPrediction, describe, measure
from echodfkd_jax.types import NamedMasks
from tests.clips import echonet_folder
from tests.clips.dicom_file import region, write_dicom

FPS = 50.0
NUM_FRAMES = 40  # Two contractions: ED at 3 and 21, ES at 12 and 30.
# Of the pictures; the region is a part of them and its pixels are not square.
ROWS, COLUMNS = 150, 301
BOX = inputs.Box(top=20, left=41, height=112, width=224)
SPACING_MM = (1.0, 0.5)
STUDENT = {"source": "made up", "fingerprint": "student-0123456789ab"}
HEADER = {
    "PatientID": "p1",
    "PatientName": "Doe^Jane",
    "PatientBirthDate": "19700101",
    "PatientSex": "F",
    "StudyID": "1",
    "StudyDate": "20260101",
    "StudyTime": "120000",
    "AccessionNumber": "",
    "ReferringPhysicianName": "",
    "SeriesNumber": 1,
    "InstanceNumber": 1,
    "FrameTime": "20",
}


def write(path, *, spacing=True, **tags):
    """The DICOM file: a beating ellipse in the middle of the region."""
    frames, _ = echonet_folder.beat(NUM_FRAMES)
    pictures = np.zeros((NUM_FRAMES, ROWS, COLUMNS), np.uint8)
    rows = slice(BOX.top, BOX.top + BOX.height)
    columns = slice(BOX.left, BOX.left + BOX.width)
    pictures[:, rows, columns] = np.repeat(frames, 2, axis=2)
    height_cm, width_cm = (side / 10 if spacing else 0 for side in SPACING_MM)
    box = region(BOX.left, BOX.top, columns.stop - 1, rows.stop - 1, width_cm, height_cm)
    uids = {tag: generate_uid() for tag in ("StudyInstanceUID", "SeriesInstanceUID")}
    aspect = {} if spacing else {"PixelAspectRatio": [2, 1]}
    return write_dicom(path, pictures, regions=[box], **{**HEADER, **uids, **aspect, **tags})


def predicted(path, *, structures=("lv",)) -> ClipPrediction:
    """The clip of a file as if a network had outlined it; other structures lie lower."""
    source = inputs.read_clip(path)
    fitted = inputs.fit(source)
    _, masks = echonet_folder.beat(NUM_FRAMES)
    soft = np.stack([cv2.GaussianBlur(mask, (5, 5), 0) for mask in masks])
    moved = [np.roll(soft, 7 * number, axis=1) for number in range(len(structures))]
    named = NamedMasks(np.stack(moved, axis=-1), structures)
    view = describe_view(soft)
    return ClipPrediction(
        clip=source,
        fitted=fitted,
        masks=named,
        fps=source.fps,
        times_s=None,
        exchanged=False,
        notes=(),
        report=measure(named, fitted, source.fps, None, view=view, doubt=""),
        view=view,
        doubt="",
    )


def record(found, path) -> dict:
    """The content of its JSON."""
    return describe(found, "clip", str(path), STUDENT, "square")


def outlined(path, *, structures=("lv",)) -> Outlined:
    """The same as formats are given it."""
    found = predicted(path, structures=structures)
    return clip.outlined(found, path, record(found, path))
