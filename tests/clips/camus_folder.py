"""Writes made-up folders in the layout of CAMUS: hearts of a few ellipses, or given clips.

Pixels are twice as wide as high, as they were on the scanner. The ventricle shrinks from ED to ES,
the atrium below it grows.
"""

import math
import pathlib

import nibabel
import numpy as np

# Height and width of a pixel and of the picture, in mm: 150 x 100 pixels of 0.6 x 1.2 mm.
SPACING_MM = (0.6, 1.2)
SIZE_MM = (90.0, 120.0)
FPS, EF = 40.0, 55.0
NUM_FRAMES = 9
SPLITS = {"training": 6, "validation": 2, "testing": 2}


def ventricle_mm(part):
    """Half the width and height of the cavity, `part` of the way from ED (0) to ES (1)."""
    return 14.0 - 4.0 * part, 20.0 - 3.0 * part


def heart(num_frames=NUM_FRAMES, seed=0):
    """Frames and labels, uint8 (t, h, w), from ED to ES."""
    y, x = (np.arange(0.5, size / step) * step for size, step in zip(SIZE_MM, SPACING_MM))
    x, y = np.meshgrid(x - 60, y - 32)
    noise = np.random.default_rng(seed).integers(0, 20, (num_frames, *x.shape))
    labels = np.zeros((num_frames, *x.shape), np.uint8)
    for frame, label in enumerate(labels):
        part = frame / max(num_frames - 1, 1)
        a, b = ventricle_mm(part)
        label[(x / (11 + 2 * part)) ** 2 + ((y - 34) / 11) ** 2 < 1] = 3
        label[((x / (a + 6)) ** 2 + (y / (b + 6)) ** 2 < 1) & (y < 0.9 * b)] = 2
        label[(x / a) ** 2 + (y / b) ** 2 < 1] = 1
    frames = np.array([60, 10, 180, 30], np.uint8)[labels] + noise
    return frames.astype(np.uint8), labels


def save(path, values, spacing_mm=SPACING_MM, affine=None):
    """Writes (t, h, w) as (x, y, t), or (h, w) as (x, y), with axes as ITK writes them."""
    down, right = spacing_mm
    if affine is None:
        affine = np.diag([-right, -down, 1.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(values.transpose()[...], affine), path)


def write_patient(
    folder, name, *, view="4CH", clip=None, spacing_mm=SPACING_MM, es_first=False, fps=FPS, ef=EF
):
    """Writes one view of a patient; the clip runs from ED to ES.

    Args:
        folder: of all patients.
        name: such as patient0001.
        view: 4CH or 2CH.
        clip: frames and labels; None: a heart of ellipses.
        spacing_mm: height and width of a pixel.
        es_first: the half sequence is written from ES to ED.
        fps: frames per second.
        ef: ejection fraction in percent.
    """
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    frames, labels = heart(seed=int(name.removeprefix("patient"))) if clip is None else clip
    if es_first:
        frames, labels = frames[::-1], labels[::-1]
    count = len(frames)
    ed, es = (count, 1) if es_first else (1, count)
    stem = f"{name}_{view}"
    for suffix, values in (("", frames), ("_gt", labels)):
        save(place / f"{stem}_half_sequence{suffix}.nii.gz", values, spacing_mm)
        save(place / f"{stem}_ED{suffix}.nii.gz", values[ed - 1], spacing_mm)
        save(place / f"{stem}_ES{suffix}.nii.gz", values[es - 1], spacing_mm)
    info = f"ED: {ed}\nES: {es}\nNbFrame: {count}\nSex: F\nAge: 56\nImageQuality: Good\n"
    (place / f"Info_{view}.cfg").write_text(f"{info}EF: {ef:g}\nFrameRate: {fps:.1f}\n")
    return place


def write_splits(folder, names):
    """Writes the lists; `names` by what the files are called."""
    (folder / "database_split").mkdir(exist_ok=True)
    for split, patients in names.items():
        text = "".join(f"{name}\n" for name in patients)
        (folder / "database_split" / f"subgroup_{split}.txt").write_text(text)


def build(folder: pathlib.Path, *, views=("4CH",), splits=True, clips=None) -> pathlib.Path:
    """Writes ten patients, every second from ES to ED, and returns the folder.

    Args:
        folder: to be made.
        views: of every patient.
        splits: whether there are lists.
        clips: frames and labels of the patients, with square pixels of 1 mm; None: ellipses.
    """
    names = [f"patient{number:04d}" for number in range(1, 1 + sum(SPLITS.values()))]
    for index, name in enumerate(names):
        made = {} if clips is None else {"clip": clips[index], "spacing_mm": (1.0, 1.0)}
        for view in views:
            patients = folder / "database_nifti"
            write_patient(patients, name, view=view, es_first=bool(index % 2), **made)
    if splits:
        left = iter(names)
        write_splits(folder, {key: [next(left) for _ in range(n)] for key, n in SPLITS.items()})
    return folder


def ventricle_area_px(part):
    """Pixels of the cavity in the project's frames."""
    a, b = ventricle_mm(part)
    return math.pi * a * b / (min(SIZE_MM) / 112) ** 2
