"""EchoCLIP, or another open_clip model of the same layout, as a judge.

EchoCLIP: Christensen et al., "Vision-language foundation model for echocardiogram interpretation",
Nature Medicine 2024. Its weights have an academic licence and are not part of this project.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jaxtyping import Array, Float32, Int32, UInt8

from echodfkd_jax.echoclip.architecture import ECHOCLIP, Architecture
from echodfkd_jax.echoclip.hub import fetch_echoclip_weights
from echodfkd_jax.echoclip.image_tower import ImageTower
from echodfkd_jax.echoclip.judge import Embeddings
from echodfkd_jax.echoclip.open_clip_weights import (
    architecture_from_open_clip,
    params_from_open_clip,
)
from echodfkd_jax.echoclip.preprocess import preprocess
from echodfkd_jax.echoclip.text_tower import TextTower
from echodfkd_jax.echoclip.tokenizer import tokenize
from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.torch_checkpoint import read_state_dict

DTYPES = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True, eq=False)
class OpenClipJudge:
    """Embeds frames and sentences in batches of one size: one compilation per frame size.

    Attributes:
        name: stands in the names of the metrics.
        fingerprint: name, type and hash of the weights.
        params: of both towers, as `params_from_open_clip` gives them, on the device.
        architecture: the model's sizes.
        dtype: of the computation, "float32" or "bfloat16".
        batch_size: images or texts per call of the compiled tower.
    """

    name: str
    fingerprint: str
    params: Mapping[str, Any]
    architecture: Architecture
    dtype: str
    batch_size: int

    def embed_images(self, frames: UInt8[np.ndarray, "n h w"]) -> Embeddings:
        """Embeddings of grey frames of any size, each of length 1; no frames give no rows."""
        embed = functools.partial(
            _embed_images, self.params["image"], architecture=self.architecture, dtype=self.dtype
        )
        return self._in_batches(embed, frames)

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embeddings of sentences, each of length 1; no texts give no rows."""
        embed = functools.partial(
            _embed_texts, self.params["text"], architecture=self.architecture, dtype=self.dtype
        )
        return self._in_batches(embed, tokenize(texts, self.architecture.context_length))

    def _in_batches(self, embed, rows: np.ndarray) -> Embeddings:
        parts = [np.zeros((0, self.architecture.embedding), np.float32)]
        for start in range(0, len(rows), self.batch_size):
            batch = rows[start : start + self.batch_size]
            missing = self.batch_size - len(batch)
            padded = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
            parts.append(np.asarray(embed(padded))[: len(batch)])
        return np.concatenate(parts)


def load_echoclip(
    weights: str = "", *, dtype: str = "float32", batch_size: int = 16
) -> OpenClipJudge:
    """EchoCLIP.

    Args:
        weights: a copy of the published `open_clip_pytorch_model.bin` (needs PyTorch to be read)
            or the same state dict as `.safetensors`; empty to fetch it from the Hugging Face hub.
        dtype: of the computation; "bfloat16" is faster where the device multiplies it natively.
        batch_size: images or texts per call of the compiled tower.

    Raises:
        UserError: the weights cannot be had, are damaged, or of another model.
    """
    path = weights or str(fetch_echoclip_weights())
    state_dict = read_state_dict(path)
    return from_state_dict(
        state_dict, name="echoclip", source=path, dtype=dtype, batch_size=batch_size
    )


def load_open_clip(
    weights: str,
    *,
    name: str = "open_clip",
    image_size_px: int = 224,
    dtype: str = "float32",
    batch_size: int = 16,
) -> OpenClipJudge:
    """Another open_clip model with a ConvNeXt image tower; its sizes are read off the weights.

    Args:
        weights: its state dict, `.bin`, `.pt` or `.safetensors`.
        name: stands in the names of the metrics.
        image_size_px: side of the images that the model was trained on.
        dtype: of the computation, "float32" or "bfloat16".
        batch_size: images or texts per call of the compiled tower.

    Raises:
        UserError: the weights are missing, damaged, or of another kind of model.
    """
    state_dict = read_state_dict(weights)
    architecture = architecture_from_open_clip(
        state_dict, source=weights, image_size_px=image_size_px
    )
    return from_state_dict(
        state_dict, architecture, name=name, source=weights, dtype=dtype, batch_size=batch_size
    )


def from_state_dict(
    state_dict: Mapping[str, np.ndarray],
    architecture: Architecture = ECHOCLIP,
    *,
    name: str,
    source: str,
    dtype: str = "float32",
    batch_size: int = 16,
) -> OpenClipJudge:
    """A judge with weights in memory.

    Args:
        state_dict: open_clip's, by key.
        architecture: the model's sizes.
        name: stands in the names of the metrics.
        source: where the weights come from, for errors.
        dtype: of the computation, "float32" or "bfloat16".
        batch_size: images or texts per call of the compiled tower.

    Raises:
        UserError: `dtype` is neither of the two, or an entry is missing, left over or of another
            shape.
    """
    if dtype not in DTYPES:
        raise UserError(f"dtype {dtype!r} of the judge is unknown; use one of {', '.join(DTYPES)}")
    params = params_from_open_clip(state_dict, architecture, source=source)
    return OpenClipJudge(
        name=name,
        fingerprint=f"{name}-{dtype}-{_digest(params)}",
        params=jax.device_put(params),
        architecture=architecture,
        dtype=dtype,
        batch_size=batch_size,
    )


@functools.partial(jax.jit, static_argnames=("architecture", "dtype"))
def _embed_images(
    params: Mapping[str, Any],
    frames: UInt8[Array, "b h w"],
    *,
    architecture: Architecture,
    dtype: str,
) -> Float32[Array, "b d"]:
    images = preprocess(frames, architecture.image_size_px, architecture.mean, architecture.std)
    tower = ImageTower(architecture, jnp.dtype(dtype), _precision(dtype))
    return _unit_length(cast(Array, tower.apply({"params": params}, images)))


@functools.partial(jax.jit, static_argnames=("architecture", "dtype"))
def _embed_texts(
    params: Mapping[str, Any],
    tokens: Int32[Array, "b t"],
    *,
    architecture: Architecture,
    dtype: str,
) -> Float32[Array, "b d"]:
    tower = TextTower(architecture, jnp.dtype(dtype), _precision(dtype))
    return _unit_length(cast(Array, tower.apply({"params": params}, tokens)))


def _precision(dtype: str) -> jax.lax.Precision | None:
    # Without it GPUs and TPUs round float32 factors to 10 or 8 bits, and the embeddings are no
    # longer the reference's.
    return jax.lax.Precision.HIGHEST if dtype == "float32" else None


def _unit_length(embeddings: Array) -> Float32[Array, "b d"]:
    embeddings = embeddings.astype(jnp.float32)
    return embeddings / jnp.linalg.norm(embeddings, axis=-1, keepdims=True)


def _digest(params: Mapping[str, Any]) -> str:
    """12 hex digits over the names and values of all weights."""
    digest = hashlib.sha256()
    for path, value in sorted(traverse_util.flatten_dict(dict(params), sep="/").items()):
        digest.update(f"{path} {value.shape};".encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()[:12]
