"""An outlined clip without a network: the made-up beating ellipse, its masks a little soft."""

import cv2
import numpy as np

from echodfkd_jax.clips import inputs
from echodfkd_jax.measurement.view import describe_view
from echodfkd_jax.prediction.clip import ClipPrediction, describe, measure
from echodfkd_jax.prediction.workplace import WorkClip
from echodfkd_jax.types import NamedMasks
from tests.clips import echonet_folder

FPS = 50.0
NUM_FRAMES = 40  # Two contractions: ED at 3 and 21, ES at 12 and 30.


def predicted(
    num_frames=NUM_FRAMES, *, fps=FPS, spacing_mm=1.0, exchanged=False, side=112, structures=("lv",)
) -> ClipPrediction:
    """The clip; `side`: of the file's frames."""
    frames, masks = echonet_folder.beat(num_frames)
    soft = np.stack([cv2.GaussianBlur(mask, (5, 5), 0) for mask in masks])
    shown = np.stack([cv2.resize(frame, (side, side)) for frame in frames])
    source = inputs.SourceClip(shown, fps, (spacing_mm * 112 / side,) * 2, ("a note",))
    fitted = inputs.fit(source)
    if exchanged:
        fitted = fitted._replace(frames=np.ascontiguousarray(fitted.frames[:, :, ::-1]))
        soft = np.ascontiguousarray(soft[:, :, ::-1])
    named = NamedMasks(np.stack([soft] * len(structures), axis=-1), structures)
    view = describe_view(soft)
    report = measure(named, fitted, fps, None, view=view, doubt="")
    return ClipPrediction(
        clip=source,
        fitted=fitted,
        masks=named,
        fps=fps,
        times_s=None,
        exchanged=exchanged,
        notes=(),
        report=report,
        view=view,
        doubt="",
    )


def work_clip(name="clip", formats=None, **options) -> WorkClip:
    """The same as the page has it."""
    found = predicted(**options)
    content = describe(found, name, f"{name}.avi", {"made": "up"}, "square")
    return WorkClip(found, content, None, formats)
