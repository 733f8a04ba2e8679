"""Draws pictures for README and gallery out of nothing but a seed: `python docs/make_images.py`."""

import functools
import pathlib
import sys

import cv2
import jax
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from echodfkd_jax.measurement.clip_report import report_clip  # noqa: E402
from echodfkd_jax.networks import predict_clip  # noqa: E402
from echodfkd_jax.networks.shipped import load_student  # noqa: E402
from echodfkd_jax.reporting import overlays, plots  # noqa: E402
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


def outlined() -> tuple[np.ndarray, bytes]:
    """A clip that no student learnt from: frames with outlines, and the areas over time."""
    make = jax.jit(functools.partial(make_clip, num_frames=64))
    clip = jax.tree.map(np.asarray, make(jax.random.key(2027)))
    mask = predict_clip(load_student(), clip.frames)[..., 0]
    exact = clip.mask.astype(np.uint8) * 255
    strip = overlays.clip_strip(clip.frames, {"student": mask, "reference": exact}, num_frames=8)
    report = report_clip(mask, float(clip.fps))
    areas = {"reference": exact, "student": mask}
    curves = plots.area_curves(
        {name: (masks > 127).sum(axis=(1, 2)).astype(float) for name, masks in areas.items()},
        [beat.ed_frame for beat in report.beats],
        [beat.es_frame for beat in report.beats],
        fps=float(clip.fps),
    )
    # Four frames a line.
    return np.concatenate(np.split(strip, 2, axis=1)), curves


if __name__ == "__main__":
    folder = ROOT / "docs" / "images"
    folder.mkdir(exist_ok=True)
    strip, curves = outlined()
    cv2.imwrite(str(folder / "outlined.png"), strip[..., ::-1])
    (folder / "area.png").write_bytes(curves)
    cv2.imwrite(str(folder / "clips.png"), clip_sheet()[..., ::-1])
    print(*(folder / f"{name}.png" for name in ("outlined", "area", "clips")), sep="\n")
