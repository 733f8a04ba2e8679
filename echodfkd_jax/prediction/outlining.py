"""Clips from files or arrays to outlines, several of one padded length at once."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from echodfkd_jax import buckets, files
from echodfkd_jax.clips import inputs
from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV, MASK_THRESHOLD, Structures
from echodfkd_jax.measurement import mirror
from echodfkd_jax.measurement.view import describe_view
from echodfkd_jax.networks.inference import predict_together
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.networks.refinement import refine
from echodfkd_jax.prediction.clip import ClipPrediction, measure
from echodfkd_jax.prediction.trusting import judge_outlines
from echodfkd_jax.settings import PredictSettings
from echodfkd_jax.types import Frames, NamedMasks, SoftMasks


class Fit(NamedTuple):
    """A clip that is ready to be outlined.

    Attributes:
        source: as it was found.
        fitted: as a student sees it.
    """

    source: inputs.SourceClip
    fitted: inputs.Fitted


class _Way(NamedTuple):
    """Whether left and right are to be exchanged, a remark where that is in doubt, and notes."""

    exchanged: bool = False
    doubt: str = ""
    notes: tuple[str, ...] = ()


def read(clip: files.PathLike | UInt8[np.ndarray, "t h w"], crop: str) -> Fit:
    """Reads a clip and fits it to a student.

    Args:
        clip: a video, NPZ or DICOM file, a folder of PNG files, or grey frames 0..255.
        crop: "square" (the largest one around the middle) or "full" (squeezed).

    Raises:
        UserError: the clip cannot be read, or is of one grey throughout.
    """
    if isinstance(clip, np.ndarray):
        name = "the clip"
        unknown = (math.nan, math.nan)
        source = inputs.SourceClip(clip, math.nan, unknown, ())
    else:
        name, source = str(clip), inputs.read_clip(buckets.local_copy(clip))
    fitted = inputs.fit(source, crop)
    if not fitted.frames.size:
        raise UserError(f"{name} has no frames")
    grey = int(fitted.frames.min())
    if grey == fitted.frames.max():
        raise UserError(f"{name}: every pixel of it is {grey}; expected a picture to outline")
    return Fit(source, fitted)


def outline(
    clips: Sequence[Fit],
    network: LoadedNetwork,
    settings: PredictSettings,
    *,
    refined: bool,
    at_once: int = 1,
) -> list[ClipPrediction]:
    """Outlines clips of one padded length, and measures them.

    Args:
        clips: at most `at_once`, of one `padded_length`.
        network: the student.
        settings: `fps` and `mirrored` are used.
        refined: smooth the masks over time and keep the largest part of each.
        at_once: clips in a call of the network.
    """
    masks_of = functools.partial(predict_together, network, size=at_once)

    ways = _which_way_round([clip.fitted.frames for clip in clips], settings.mirrored, masks_of)
    turned = [
        clip.fitted._replace(frames=mirror.mirror_frames(clip.fitted.frames))
        if way.exchanged
        else clip.fitted
        for clip, way in zip(clips, ways)
    ]
    outlined = masks_of([fitted.frames for fitted in turned])
    return [
        _complete(clip.source, fitted, way, masks, network.structures, settings.fps, refined)
        for clip, fitted, way, masks in zip(clips, turned, ways, outlined)
    ]


def _complete(
    source: inputs.SourceClip,
    fitted: inputs.Fitted,
    way: _Way,
    found: SoftMasks,
    structures: Structures,
    fps: float,
    refined: bool,
) -> ClipPrediction:
    rate, times_s = (fps, None) if fps else (source.fps, source.times_s)
    masks = NamedMasks(refine(found, rate) if refined else found, structures)
    # Parts that refining takes away are what gives other views than the expected one away.
    as_given, _ = inputs.with_square_pixels(found[..., 0], fitted)
    view = describe_view(as_given)
    trust = judge_outlines(fitted.frames, masks.of(LV) > MASK_THRESHOLD, sides_known=not way.doubt)
    return ClipPrediction(
        clip=source,
        fitted=fitted,
        masks=masks,
        fps=rate,
        times_s=times_s,
        exchanged=way.exchanged,
        notes=(*source.notes, *way.notes),
        report=measure(masks, fitted, rate, times_s, view=view, doubt=way.doubt, trust=trust),
        view=view,
        doubt=way.doubt,
    )


def _which_way_round(
    clips: Sequence[UInt8[np.ndarray, "_ h w"]],
    asked: str,
    masks_of: Callable[[Sequence[Frames]], list[SoftMasks]],
) -> list[_Way]:
    if asked == "no":
        return [_Way()] * len(clips)
    if asked == "yes":
        note = "left and right were exchanged, as config.predict.mirrored says"
        return [_Way(True, notes=(note,))] * len(clips)
    some = [frames[mirror.middle_frames(len(frames))] for frames in clips]
    both = (masks_of(some), masks_of([mirror.mirror_frames(frames) for frames in some]))
    return [
        _way(mirror.compare(frames, mask[..., 0], other[..., 0]))
        for frames, mask, other in zip(some, *both)
    ]


def _way(found: mirror.Mirror) -> _Way:
    if found.mirrored:
        note = (
            "left and right were exchanged: the model is surer of its outline that way, and it "
            "lies where a left ventricle is shown; config.predict.mirrored=no leaves them"
        )
        return _Way(True, notes=(note,))
    doubt = (
        "Whether left and right are exchanged could not be told, and it matters; "
        "config.predict.mirrored=yes or no says it."
    )
    return _Way(doubt=doubt if found.doubted else "")
