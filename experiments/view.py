"""How often a clip is said not to look like an apical four-chamber view: prints JSON.

    python -m experiments.view [STUDENT.safetensors]

Run it when the student's weights change: the limits in `echodfkd_jax/measurement/view.py` should be
no tighter than those it prints under the same names. Of `generated` at most 0.05 should be refused,
of the others as many as can be. A minute or two on two CPU cores.
"""

import argparse
import functools
import json
import pathlib
from collections.abc import Iterator

import cv2
import jax
import numpy as np

from echodfkd_jax.measurement.view import describe_view
from echodfkd_jax.networks.inference import predict_clip
from echodfkd_jax.networks.shipped import load_student
from echodfkd_jax.synthesis import FRAME_SIZE, TRAINING_POOR_WINDOWS, make_clip

SEED = 777
NUM_CLIPS = 160
NUM_FRAMES = 32
# Of generated clips, this part is let through by each of the limits that depend on the weights.
PASSED = 0.97


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("student", nargs="?", default="best")
    student = load_student(parser.parse_args().student)
    clips = generated(SEED, NUM_CLIPS)
    kinds = {
        "generated": clips,
        "upside_down": [clip[:, ::-1] for clip in clips],
        "turned": turned(clips),
        "noise": list(noise(20)),
        "photographs": list(photographs()),
    }
    refused, limits = {}, {}
    for kind, frames in kinds.items():
        views = [
            describe_view(predict_clip(student, np.ascontiguousarray(clip))[..., 0])
            for clip in frames
        ]
        refused[kind] = float(np.mean([not view.four_chamber for view in views]))
        if kind == "generated":
            bands = [view.unsure_band for view in views]
            ratios = np.nan_to_num([view.base_to_apex for view in views])
            limits["MAX_UNSURE_BAND"] = float(np.quantile(bands, PASSED))
            insides = [view.inside for view in views]
            limits["MIN_INSIDE"] = float(np.quantile(insides, 1 - PASSED))
            limits["MIN_BASE_TO_APEX"] = float(np.quantile(ratios, 1 - PASSED))
    print(json.dumps({"refused": refused, "limits": limits}, indent=1))


def generated(seed: int, count: int) -> list[np.ndarray]:
    """Clips as the student is trained on, from other keys."""
    make = jax.jit(
        functools.partial(make_clip, num_frames=NUM_FRAMES, poor_windows=TRAINING_POOR_WINDOWS)
    )
    keys = jax.random.split(jax.random.key(seed), count)
    return [np.asarray(make(key).frames) for key in keys]


def turned(clips: list[np.ndarray]) -> list[np.ndarray]:
    """Each clip, turned around the middle by 60 to 300 degrees."""
    angles = np.random.default_rng(SEED).uniform(60, 300, len(clips))
    return [_turn(clip, angle) for clip, angle in zip(clips, angles)]


def noise(count: int) -> Iterator[np.ndarray]:
    """Still and moving noise, fine and coarse, dark and bright."""
    for index in range(count):
        random = np.random.default_rng(index)
        grains = random.normal(size=(NUM_FRAMES, FRAME_SIZE, FRAME_SIZE))
        width = (0, 1, 3, 8)[index % 4]
        if width:
            grains = np.stack([cv2.GaussianBlur(frame, (0, 0), width) for frame in grains])
        if index % 2:
            grains = np.repeat(grains[:1], NUM_FRAMES, axis=0)
        grey = random.uniform(40, 200) + random.uniform(10, 60) * grains / grains.std()
        yield np.clip(grey, 0, 255).astype(np.uint8)


def photographs() -> Iterator[np.ndarray]:
    """scikit-image's pictures of things that are no heart, seen by a camera that moves."""
    import skimage.data

    folder = pathlib.Path(skimage.data.__file__).parent
    names = ("astronaut", "brick", "camera", "cell", "chelsea", "coffee", "coins", "grass")
    names += ("gravel", "ihc", "moon", "page", "text", "horse", "motorcycle_left")
    for name in names:
        picture = cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
        scale = (FRAME_SIZE + 48) / min(picture.shape)
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        phases = 2 * np.pi * np.arange(NUM_FRAMES) / 16
        corners = (24 + 20 * np.stack([np.sin(phases), np.cos(phases)], axis=1)).astype(int)
        yield np.stack([picture[y : y + FRAME_SIZE, x : x + FRAME_SIZE] for y, x in corners])


def _turn(clip: np.ndarray, degrees: float) -> np.ndarray:
    middle = ((FRAME_SIZE - 1) / 2, (FRAME_SIZE - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, degrees, 1)
    return np.stack([cv2.warpAffine(frame, matrix, (FRAME_SIZE, FRAME_SIZE)) for frame in clip])


if __name__ == "__main__":
    main()
