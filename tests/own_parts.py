"""A small class of one's own for every seam, named in configurations: `tests.own_parts:Name`."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from echodfkd_jax.evaluation import summary
from echodfkd_jax.evaluation.evaluator import Evaluator, Group, Row
from echodfkd_jax.types import Clip
from tests.datasets.stand_ins import MadeClip

SIZE = 112


class Discs:
    """A generator: a bright disc that beats."""

    version = "discs 1"

    def make(self, key, *, num_frames, train):
        radius = jax.random.uniform(key, minval=20.0, maxval=30.0)
        beat = radius + 8 * jnp.cos(jnp.arange(num_frames) / 2)[:, None, None]
        y, x = jnp.mgrid[:SIZE, :SIZE] - SIZE // 2
        mask = x**2 + y**2 < beat**2
        frames = (40 + 150 * mask + 20 * jnp.asarray(train)).astype(jnp.uint8)
        number = jnp.float32
        return MadeClip(
            frames, mask, number(50), jnp.int32(0), jnp.int32(6), number(60), number(90), number(40)
        )


class HeartClip(NamedTuple):
    frames: jax.Array
    mask: jax.Array
    structures: jax.Array
    fps: jax.Array
    ed_frame: jax.Array
    es_frame: jax.Array
    ef_percent: jax.Array
    edv_ml: jax.Array
    esv_ml: jax.Array


class Hearts:
    """A generator of two structures: a bright ventricle above a darker atrium that fills as the
    ventricle empties."""

    version = "hearts 1"
    structures = ("lv", "la")

    def make(self, key, *, num_frames, train):
        del train
        radius = jax.random.uniform(key, minval=15.0, maxval=20.0)
        beat = 5 * jnp.cos(jnp.arange(num_frames) / 2)[:, None, None]
        y, x = jnp.mgrid[:SIZE, :SIZE] - SIZE // 2
        lv = x**2 + (y + 26) ** 2 < (radius + beat) ** 2
        la = x**2 + (y - 26) ** 2 < (radius - beat) ** 2
        frames = (40 + 180 * lv + 90 * la).astype(jnp.uint8)
        number = jnp.float32
        return HeartClip(
            frames,
            lv,
            jnp.stack([lv, la], axis=-1),
            number(50),
            jnp.int32(0),
            jnp.int32(6),
            number(60),
            number(90),
            number(40),
        )


class DiscFolder:
    """A clip source: three splits of disc clips that bring no mask of a teacher."""

    identity = "disc-folder-1"

    def __init__(self, folder):
        del folder

    def split(self, name):
        return DiscSplit({"train": 4, "validation": 2, "test": 2}[name], name)


class DiscSplit:
    def __init__(self, count, name):
        self._count, self._name = count, name

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        made = Discs().make(jax.random.key(index), num_frames=12, train=False)
        return Clip(
            name=f"{self._name}_{index}",
            frames=np.asarray(made.frames),
            fps=50.0,
            ef_percent=60.0,
            edv_ml=90.0,
            esv_ml=40.0,
            ed_frame=0,
            es_frame=6,
            reference_frames=np.arange(12),
            reference_masks=np.asarray(made.mask)[..., None],
        )


class BrightTeacher:
    """A teacher that knows clips only: what is bright is ventricle."""

    fingerprint = "bright-1"

    def label(self, clip):
        return np.where(clip.frames[..., None] > 100, 255, 0).astype(np.uint8)


class HeartTeacher:
    """A teacher of two structures, by their grey values; in another order than they are asked."""

    fingerprint = "heart-1"
    structures = ("la", "lv")

    def label(self, clip):
        la = (clip.frames > 100) & (clip.frames < 200)
        return np.where(np.stack([la, clip.frames > 200], axis=-1), 255, 0).astype(np.uint8)


class Dot(nn.Module):
    """A network of one convolution."""

    width: int = 2
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, video, *, train=False):
        del train
        hidden = nn.relu(nn.Conv(self.width, (1, 1, 1))(video / 255))
        return nn.Dense(1)(hidden)


def squared_error(logits, target, frame_weights):
    """A loss."""
    del frame_weights
    error = (jax.nn.sigmoid(logits) - target / 255.0) ** 2
    return jnp.mean(error, axis=(1, 2, 3, 4))


class Filling(Evaluator):
    """An evaluator: how much of the frame a mask fills, and a number of its own over all clips."""

    identity = "filling-1"
    rows = (Row("mean", "filling/{}", "Part of the frame", 2),)
    groups = (Group("Filled frames", "Where they are full.", ("filled",)),)

    def clip(self, scored):
        return {f"filling/{model}": float(mask.mean()) for model, mask in scored.lv.binary.items()}

    def summarise(self, found, *, models, num_samples, seed):
        del models
        values = summary.column(found, "filling/teacher")
        return {
            "filled": {"teacher": summary.mean_entry(values, num_samples=num_samples, seed=seed)}
        }
