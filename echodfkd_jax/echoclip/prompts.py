"""Every sentence that the judge is asked about; replace any of them through the arguments.

The sentences are those of EchoDFKD (Petit et al., arXiv 2409.07566) and, for the ejection
fraction, of EchoCLIP (Christensen et al., Nature Medicine 2024). Trailing spaces matter.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from echodfkd_jax.echoclip.judge import Embeddings, Judge
from echodfkd_jax.errors import UserError

NUMBER = "<#>"


@dataclasses.dataclass(frozen=True)
class Prompts:
    """The sentences.

    Attributes:
        valve_closed: what a frame in systole shows.
        valve_open: what a frame in diastole shows.
        wall: what is left when the left ventricle is painted black.
        nothing: what stands where the left ventricle was.
        left_ventricle: what should no longer be seen.
        ejection_fraction: templates; `<#>` stands for the number.
        ejection_fraction_percent: the numbers that are put in.
    """

    valve_closed: str = "THE MITRAL VALVE IS CLOSED"
    valve_open: str = "THE MITRAL VALVE IS OPEN"
    wall: str = "WALL"
    nothing: str = "NOTHING"
    left_ventricle: str = "LEFT VENTRICLE"
    ejection_fraction: tuple[str, ...] = (
        "THE LEFT VENTRICULAR EJECTION FRACTION IS ESTIMATED TO BE <#>% ",
        "LV EJECTION FRACTION IS <#>%. ",
    )
    ejection_fraction_percent: tuple[int, ...] = tuple(range(101))

    def __post_init__(self):
        for template in self.ejection_fraction:
            if NUMBER not in template:
                raise UserError(
                    f"ejection fraction prompt {template!r} has no {NUMBER}, where the number "
                    "goes; add it"
                )


class PromptEmbeddings(NamedTuple):
    """The sentences as a judge sees them, each of length 1.

    Attributes:
        valve: (2, d): closed, open.
        erasure: (3, d): wall, nothing, left ventricle.
        ejection_fraction: (p, d): every number in the first template, then in the second.
        ejection_fraction_percent: (p,): the number in each of them.
    """

    valve: Embeddings
    erasure: Embeddings
    ejection_fraction: Embeddings
    ejection_fraction_percent: Int[np.ndarray, "p"]


def embed_prompts(judge: Judge, prompts: Prompts | None = None) -> PromptEmbeddings:
    """Embeds all sentences once; a few seconds for EchoCLIP on a CPU."""
    prompts = prompts or Prompts()
    numbers = prompts.ejection_fraction_percent
    sentences = [
        template.replace(NUMBER, str(number))
        for template in prompts.ejection_fraction
        for number in numbers
    ]
    return PromptEmbeddings(
        valve=judge.embed_texts([prompts.valve_closed, prompts.valve_open]),
        erasure=judge.embed_texts([prompts.wall, prompts.nothing, prompts.left_ventricle]),
        ejection_fraction=judge.embed_texts(sentences),
        ejection_fraction_percent=np.tile(numbers, len(prompts.ejection_fraction)),
    )
