"""Which generated clips resemble one that was learnt from, by the first frame of each."""

import numpy as np
from jaxtyping import UInt8

from echodfkd_jax.evaluation import features
from echodfkd_jax.synthesis.diffusion import privacy
from echodfkd_jax.types import Clips


class ClipFilter:
    """`privacy.filter_clips` by the features of the project's own network."""

    def __init__(self, train: Clips, held_out: Clips) -> None:
        """Reads all clips.

        Args:
            train: clips that the generator learnt from.
            held_out: others, by which the threshold is found.
        """
        self._extract = features.open_extractor()
        embedded = [self._embed_all(train), self._embed_all(held_out)]
        # What all frames have in common says nothing about whose they are.
        self._common = embedded[0].mean(axis=0)
        self._train, self._held_out = (rows - self._common for rows in embedded)

    def __call__(self, clips: UInt8[np.ndarray, "b t h w"]) -> privacy.Filtered:
        """What the filter says of clips."""
        generated = self._embed(clips[:, :1]) - self._common
        return privacy.filter_clips(generated, self._train, self._held_out)

    def _embed_all(self, clips: Clips) -> np.ndarray:
        rows = [self._embed(clips[index].frames[None, :1]) for index in range(len(clips))]
        return np.concatenate(rows)

    def _embed(self, pictures: UInt8[np.ndarray, "b 1 h w"]) -> np.ndarray:
        rows = self._extract(pictures)
        return rows[:, : rows.shape[1] // 2]  # The rest is how they change over time.
