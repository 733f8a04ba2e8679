"""Frames and exact masks as a COCO data set, for CVAT, FiftyOne, detectron2 and pycocotools.

`<name>.coco/annotations.json` and the frames as pictures beside it. A mask is run-length encoded,
which keeps every pixel; polygons would not.
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

import echodfkd_jax
from echodfkd_jax.interop.viewers import formats, pictures
from echodfkd_jax.interop.viewers.formats import Outlined

FOLDER = ".coco/"
_IMAGES = "images/"


class Coco:
    """See `formats.Format`. Needs no package."""

    def files(self, clip: Outlined) -> Mapping[str, bytes]:
        """The pictures and their annotations."""
        made = dict(pictures.encoded(clip.frames, FOLDER + _IMAGES))
        content = json.dumps(describe(clip), allow_nan=False)
        return {**made, f"{FOLDER}annotations.json": content.encode()}


def describe(clip: Outlined) -> dict[str, Any]:
    """The annotations; an empty mask has none."""
    count, height, width = clip.frames.shape
    phases = dict.fromkeys(clip.record["ed_frames"], "ED")
    phases |= dict.fromkeys(clip.record["es_frames"], "ES")
    images = [
        {
            "id": frame + 1,
            "file_name": _IMAGES + pictures.picture_name(frame),
            "height": height,
            "width": width,
            "frame": frame,
            "phase": phases.get(frame),
        }
        for frame in range(count)
    ]
    categories = [
        {
            "id": formats.number_of(name, clip.structures),
            "name": name,
            "supercategory": "heart",
        }
        for name in clip.structures
    ]
    annotations: list[dict[str, Any]] = []
    for category, structure in zip(categories, clip.structures):
        for frame, mask in enumerate(clip.inside(structure)):
            if mask.any():
                annotation = _annotation(mask, frame + 1, category["id"])
                annotations.append({"id": len(annotations) + 1, **annotation})
    info = {
        "description": f"{clip.name}: outlines by echodfkd_jax. {clip.notice}",
        "version": echodfkd_jax.__version__,
        "date_created": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "student": clip.record["student"],
    }
    return {
        "info": info,
        "licenses": [],
        "images": images,
        "categories": categories,
        "annotations": annotations,
    }


def run_lengths(mask: Bool[np.ndarray, "h w"]) -> list[int]:
    """COCO's uncompressed code: lengths of runs down the columns, of outside first."""
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff([0, *ends.tolist(), flat.size]).tolist()
    return [0, *lengths] if flat[0] else lengths


def _annotation(mask: Bool[np.ndarray, "h w"], image: int, category: int) -> dict[str, Any]:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return {
        "image_id": image,
        "category_id": category,
        "segmentation": {"size": list(mask.shape), "counts": run_lengths(mask)},
        "area": int(mask.sum()),
        "bbox": _box(rows, columns),
        "iscrowd": 0,
    }


def _box(rows: np.ndarray, columns: np.ndarray) -> Sequence[int]:
    """x, y, width and height."""
    left, top = int(columns[0]), int(rows[0])
    return [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]
