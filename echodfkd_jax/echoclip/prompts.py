"""The sentences that the judge is asked about, as it sees them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from echodfkd_jax.echoclip.judge import Embeddings, Judge
from echodfkd_jax.settings.prompts import NUMBER, Prompts


class PromptEmbeddings(NamedTuple):
    """The sentences as a judge sees them, each of length 1.

    Attributes:
        valve: (2, d): closed, open.
        erasure: (3, d) by structure: wall, nothing, and the structure; of those with a sentence.
        ejection_fraction: (p, d): every number in the first template, then in the second.
        ejection_fraction_percent: (p,): the number in each of them.
    """

    valve: Embeddings
    erasure: dict[str, Embeddings]
    ejection_fraction: Embeddings
    ejection_fraction_percent: Int[np.ndarray, "p"]


def embed_prompts(judge: Judge, prompts: Prompts | None = None) -> PromptEmbeddings:
    """Embeds all sentences once; a few seconds for EchoCLIP on a CPU."""
    prompts = prompts or Prompts()
    valve = judge.embed_texts([prompts.valve_closed, prompts.valve_open])
    chambers = prompts.chambers
    erasure = judge.embed_texts([prompts.wall, prompts.nothing, *chambers.values()])
    numbers = prompts.ejection_fraction_percent
    sentences = [
        template.replace(NUMBER, str(number))
        for template in prompts.ejection_fraction
        for number in numbers
    ]
    return PromptEmbeddings(
        valve=valve,
        erasure={structure: erasure[[0, 1, 2 + index]] for index, structure in enumerate(chambers)},
        ejection_fraction=judge.embed_texts(sentences),
        ejection_fraction_percent=np.tile(numbers, len(prompts.ejection_fraction)),
    )
