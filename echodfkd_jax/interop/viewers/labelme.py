"""Frames and polygons for LabelMe and what reads its files; `<name>.labelme/` has one per frame.

Polygons are outer outlines through the middles of pixels: a hole in a mask is not kept.
"""

import json
from collections.abc import Mapping
from typing import Any

from echodfkd_jax.interop.viewers import pictures
from echodfkd_jax.interop.viewers.formats import Outlined

FOLDER = ".labelme/"
# Of the file format, that of the LabelMe which introduced it as it is.
_VERSION = "5.0.0"


class LabelMe:
    """See `formats.Format`. Needs no package."""

    def files(self, clip: Outlined) -> Mapping[str, bytes]:
        """The pictures, and a JSON beside each."""
        made = dict(pictures.encoded(clip.frames, FOLDER))
        for frame, shapes in enumerate(_shapes(clip)):
            name = pictures.picture_name(frame)
            content = {
                "version": _VERSION,
                "flags": {
                    "ED": frame in clip.record["ed_frames"],
                    "ES": frame in clip.record["es_frames"],
                },
                "shapes": shapes,
                "imagePath": name,
                "imageData": None,
                "imageHeight": clip.frames.shape[1],
                "imageWidth": clip.frames.shape[2],
                "notice": clip.notice,
            }
            text = json.dumps(content, allow_nan=False)
            made[FOLDER + name.replace(".png", ".json")] = text.encode()
        return made


def _shapes(clip: Outlined) -> list[list[dict[str, Any]]]:
    """The shapes of every frame."""
    shapes: list[list[dict[str, Any]]] = [[] for _ in clip.frames]
    for structure in clip.structures:
        for frame, mask in enumerate(clip.inside(structure)):
            for part, points in enumerate(pictures.polygons(mask)):
                shape = {"label": structure, "points": points, "shape_type": "polygon"}
                shapes[frame].append({**shape, "group_id": part, "flags": {}})
    return shapes
