"""What a judge is: anything that puts frames and sentences into one space of embeddings."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, UInt8

# One row per image or text, of length 1, so that dot products are cosine similarities.
Embeddings = Float32[np.ndarray, "n d"]


@runtime_checkable
class Judge(Protocol):
    """An image-text model, such as EchoCLIP.

    Attributes:
        name: stands in the names of the metrics, such as `ef/echoclip`.
        fingerprint: name and hash of the weights; the same fingerprint means the same embeddings,
            so it names the folder in which embeddings are kept.
    """

    name: str
    fingerprint: str

    def embed_images(self, frames: UInt8[np.ndarray, "n h w"]) -> Embeddings:
        """Embeddings of grey frames of any size, each of length 1."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embeddings of sentences, each of length 1."""
        ...


def similarities(
    images: Float[np.ndarray, "n d"], texts: Float[np.ndarray, "p d"]
) -> Float[np.ndarray, "n p"]:
    """Cosine similarity of every image with every text, -1..1; both sides of length 1."""
    return images @ texts.T
