"""Generated hearts with what the shipped networks say of them, for `experiments/trust.py`."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cv2
import jax
import numpy as np
import tqdm

from echodfkd_jax.masks import MASK_THRESHOLD
from echodfkd_jax.networks import shipped
from echodfkd_jax.networks.inference import predict_clip
from echodfkd_jax.networks.refinement import refine
from echodfkd_jax.synthesis import FRAME_SIZE, STRUCTURES, TRAINING_POOR_WINDOWS, make_clip
from echodfkd_jax.teachers import load_teacher

NUM_FRAMES = 33
SEED = 20


class Case(NamedTuple):
    """A clip, what is exactly known of it, and what a network says.

    Attributes:
        frames: uint8 (t, h, w).
        labels: uint8 (t, h, w), see `distorted_masks.Heart`.
        masks: bool (t, h, w), a shipped network's.
        network: which one.
    """

    frames: np.ndarray
    labels: np.ndarray
    masks: np.ndarray
    network: str

    @property
    def exact(self) -> np.ndarray:
        """The exact outline, bool (t, h, w)."""
        return self.labels == 1


def cases(first: int, count: int, *, no_view: float = 0.0) -> Iterator[Case]:
    """Generated clips, each outlined by one of the shipped networks.

    Args:
        first: number of the first heart.
        count: of clips.
        no_view: probability that a clip is turned, upside down, mirrored, or noise.
    """
    make = jax.jit(
        functools.partial(make_clip, num_frames=NUM_FRAMES, poor_windows=TRAINING_POOR_WINDOWS)
    )
    outliners = _outliners()
    names = list(outliners)
    for number in tqdm.trange(first, first + count, unit="clip"):
        made = make(jax.random.fold_in(jax.random.key(SEED), number))
        frames, structures = np.asarray(made.frames), np.asarray(made.structures)
        labels = (structures * np.arange(1, len(STRUCTURES) + 1, dtype=np.uint8)).max(axis=-1)
        random = np.random.default_rng((SEED, number))
        if random.uniform() < no_view:
            frames, labels = _no_view(random, frames, labels)
        name = names[number % len(names)]
        soft = refine(outliners[name](frames)[..., :1], float(made.fps))
        yield Case(frames, labels, soft[..., 0] > MASK_THRESHOLD, name)


def _outliners() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The shipped networks as functions of frames, by name: soft masks, the cavity first."""
    teacher = load_teacher("unet")
    found: dict[str, Any] = {
        name: functools.partial(predict_clip, shipped.load_student(name))
        for name in shipped.STUDENTS
    }
    found["teacher"] = lambda frames: np.rint(255 * np.asarray(teacher(frames))).astype(np.uint8)
    return found


def _no_view(
    random: np.random.Generator, frames: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    kind = random.integers(4)
    if kind == 0:
        return frames[:, :, ::-1].copy(), labels[:, :, ::-1].copy()
    if kind == 1:
        return frames[:, ::-1].copy(), labels[:, ::-1].copy()
    if kind == 2:
        middle = ((FRAME_SIZE - 1) / 2, (FRAME_SIZE - 1) / 2)
        matrix = cv2.getRotationMatrix2D(middle, random.uniform(60, 300), 1)
        return warp(frames, matrix), warp(labels, matrix, cv2.INTER_NEAREST)
    # Noise, fine or coarse, still or not: nothing of it is a ventricle.
    grains = random.normal(size=frames.shape).astype(np.float32)
    width = random.choice([0.0, 1.0, 3.0, 8.0])
    if width:
        grains = np.stack([cv2.GaussianBlur(frame, (0, 0), width) for frame in grains])
    if random.uniform() < 0.5:
        grains = np.repeat(grains[:1], len(grains), axis=0)
    grey = random.uniform(30, 200) + random.uniform(10, 60) * grains / grains.std()
    return np.clip(grey, 0, 255).astype(np.uint8), np.zeros_like(labels)


def warp(images: np.ndarray, matrix: np.ndarray, how: int = cv2.INTER_LINEAR) -> np.ndarray:
    """Every image, moved."""
    size = images.shape[:0:-1]
    return np.stack([cv2.warpAffine(image, matrix, size, flags=how) for image in images])
