"""Draws the pictures of the README from nothing but a seed: `python docs/make_images.py`."""

import functools
import pathlib
import sys

import cv2
import jax
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from echodfkd_jax.reporting import overlays  # noqa: E402
from echodfkd_jax.synthesis import TRAINING_POOR_WINDOWS, make_clip  # noqa: E402

SEED = 12
NUM_CLIPS = 8


def clip_sheet() -> np.ndarray:
    """Eight training clips: end-diastole, end-systole, and the latter with its exact outline."""
    make = jax.jit(functools.partial(make_clip, num_frames=64, poor_windows=TRAINING_POOR_WINDOWS))
    columns = []
    for number in range(NUM_CLIPS):
        clip = jax.tree.map(np.asarray, make(jax.random.fold_in(jax.random.key(SEED), number)))
        outline = clip.mask.astype(np.uint8) * 255
        ed, es = int(clip.ed_frame), int(clip.es_frame)
        columns.append(
            np.concatenate(
                [
                    overlays.draw_outlines(clip.frames[ed], {}, scale=2),
                    overlays.draw_outlines(clip.frames[es], {}, scale=2),
                    overlays.draw_outlines(clip.frames[es], {"reference": outline[es]}, scale=2),
                ]
            )
        )
    return np.concatenate(columns, axis=1)


if __name__ == "__main__":
    path = ROOT / "docs" / "images" / "clips.png"
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), clip_sheet()[..., ::-1])
    print(path)
