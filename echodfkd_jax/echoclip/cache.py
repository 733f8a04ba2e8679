"""Embeddings kept on disk, so that a clip is embedded once however many checkpoints are judged."""

import hashlib
import pathlib
import tempfile

import numpy as np
from jaxtyping import UInt8

from echodfkd_jax.echoclip.judge import Embeddings, Judge


def embed_clip(
    judge: Judge, frames: UInt8[np.ndarray, "t h w"], cache_dir: str | pathlib.Path = ""
) -> Embeddings:
    """Embeddings of a clip's frames, from the cache where they are in it.

    Args:
        judge: whose embeddings.
        frames: grey frames.
        cache_dir: folder of the cache, made if it is missing; empty for no cache. Files are named
            by the judge's fingerprint and a hash of the frames, so nothing in it can be out of
            date, and any of it can be deleted. About 0.4 MB for a clip of 176 frames.

    Returns:
        One row of length 1 per frame.
    """
    if not cache_dir:
        return judge.embed_images(frames)
    digest = hashlib.sha256(f"{frames.shape};".encode() + np.ascontiguousarray(frames).tobytes())
    path = pathlib.Path(cache_dir) / judge.fingerprint / f"{digest.hexdigest()[:32]}.npy"
    try:
        return np.load(path)
    except (FileNotFoundError, ValueError, EOFError):  # absent, or cut short by a full disk
        embeddings = judge.embed_images(frames)
    _save(path, embeddings)
    return embeddings


def _save(path: pathlib.Path, embeddings: Embeddings) -> None:
    """Writes the whole file or none: another process may be reading the same folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        np.save(file, embeddings)
    pathlib.Path(file.name).replace(path)
