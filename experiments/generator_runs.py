"""What the experiments about learned generators share: their clips, masks, tables and pictures."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cv2
import jax
import numpy as np
import optax

from echodfkd_jax.datasets import prepared, recipe
from echodfkd_jax.masks import LV
from echodfkd_jax.networks.refinement import refine
from echodfkd_jax.runs import run_config
from echodfkd_jax.runs.generator import LoadedGenerator
from echodfkd_jax.teachers import load_teacher
from echodfkd_jax.teachers.base import FrameTeacher, structures_of
from echodfkd_jax.training import generator_step
from echodfkd_jax.training.clip_input import known_clip
from echodfkd_jax.types import Clip

# Frames (t, h, w) and their rate to the soft masks (t, h, w) of the left ventricle.
Outliner = Callable[[np.ndarray, float], np.ndarray]


def open_splits(workdir: pathlib.Path) -> dict[str, prepared.ClipSource]:
    """The data set that a run's generator learnt from, by split."""
    config = run_config.load(workdir)
    folder = prepared.directory(recipe.fields_of(config), config.teacher.to_dict())
    return {split: prepared.open_split(folder, split) for split in recipe.SPLITS}


def at_rate(clip: Clip, fps: float) -> np.ndarray:
    """A clip's frames as a generator of that frame rate sees them, uint8 (t, h, w)."""
    known = known_clip(clip, fps)
    return known.frames[known.indices]


def untrained(generator: LoadedGenerator, seed: int) -> LoadedGenerator:
    """The same networks with their first weights, as training begins with them."""
    state = generator_step.create_state(generator.model, optax.sgd(0.0), seed)
    return dataclasses.replace(
        generator,
        variables={"params": state.params},
        latents=jax.device_get(state.batch_stats["latents"]),
        source=f"untrained, seed {seed}",
    )


def shipped_outliner() -> Outliner:
    """The shipped teacher; its masks are refined as predict does it."""
    teacher = load_teacher("unet")
    assert isinstance(teacher, FrameTeacher)
    number = structures_of(teacher).index(LV)

    def outline(frames: np.ndarray, fps: float) -> np.ndarray:
        probability = np.asarray(teacher(frames))[..., number : number + 1]
        return refine(np.rint(255 * probability).astype(np.uint8), fps)[..., 0]

    return outline


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in markdown under its title; numbers with three digits after the point."""

    def cell(value: Any) -> str:
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return "-"
        return f"{value:.3f}" if isinstance(value, float) else str(value)

    lines = [list(header), ["---"] * len(header), *([cell(each) for each in row] for row in rows)]
    return "\n".join([f"**{title}**", "", *(f"| {' | '.join(line)} |" for line in lines), ""])


def write_json(path: pathlib.Path, content: Any) -> None:
    """Writes numbers; those that are not known become null."""

    def known(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): known(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [known(each) for each in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    path.write_text(json.dumps(known(content), indent=1, allow_nan=False) + "\n", "utf-8")


def write_strip(path: pathlib.Path, rows: Sequence[Sequence[np.ndarray]], titles: Any = ()) -> None:
    """Writes frames, one row under the other, as a PNG.

    Args:
        path: of the file.
        rows: of frames uint8 (h, w), all of one size; every row as many.
        titles: above each column; none for no titles.
    """
    picture = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    if len(titles):
        height, width = 14, rows[0][0].shape[1]
        above = np.zeros((height, picture.shape[1]), np.uint8)
        for number, title in enumerate(titles):
            at = (number * width + 3, height - 4)
            cv2.putText(above, title, at, cv2.FONT_HERSHEY_SIMPLEX, 0.35, 255, 1, cv2.LINE_AA)
        picture = np.concatenate([above, picture])
    path.parent.mkdir(parents=True, exist_ok=True)
    written, png = cv2.imencode(".png", picture)
    assert written
    path.write_bytes(png.tobytes())
