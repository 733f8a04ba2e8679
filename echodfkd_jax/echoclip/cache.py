"""Embeddings kept on disk, so that a clip is embedded once however many checkpoints are judged."""

import hashlib
import io

import numpy as np
from jaxtyping import UInt8

from echodfkd_jax import files
from echodfkd_jax.echoclip.judge import Embeddings, Judge


def embed_clip(
    judge: Judge, frames: UInt8[np.ndarray, "t h w"], cache_dir: files.PathLike = ""
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
    path = files.path_of(cache_dir) / judge.fingerprint / f"{digest.hexdigest()[:32]}.npy"
    try:
        return np.load(io.BytesIO(path.read_bytes()))
    except (FileNotFoundError, ValueError, EOFError):  # absent, or cut short by a full disk
        embeddings = judge.embed_images(frames)
    with files.replacing(path) as file:
        np.save(file, embeddings)
    return embeddings
