"""Every sentence that the judge is asked about; replace any of them in `config.judge.prompts`.

The sentences are those of EchoDFKD (Petit et al., arXiv 2409.07566) and, for the ejection
fraction, of EchoCLIP (Christensen et al., Nature Medicine 2024); those about the other chambers say
of them what the first says of the left ventricle. Trailing spaces matter.
"""

import dataclasses

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
        left_atrium: likewise, where the atrium is outlined and painted black; empty: not asked.
        right_ventricle: likewise.
        right_atrium: likewise.
        ejection_fraction: templates; `<#>` stands for the number.
        ejection_fraction_percent: the numbers that are put in.
    """

    valve_closed: str = "THE MITRAL VALVE IS CLOSED"
    valve_open: str = "THE MITRAL VALVE IS OPEN"
    wall: str = "WALL"
    nothing: str = "NOTHING"
    left_ventricle: str = "LEFT VENTRICLE"
    left_atrium: str = "LEFT ATRIUM"
    right_ventricle: str = "RIGHT VENTRICLE"
    right_atrium: str = "RIGHT ATRIUM"
    ejection_fraction: tuple[str, ...] = (
        "THE LEFT VENTRICULAR EJECTION FRACTION IS ESTIMATED TO BE <#>% ",
        "LV EJECTION FRACTION IS <#>%. ",
    )
    ejection_fraction_percent: tuple[int, ...] = tuple(range(101))

    @property
    def chambers(self) -> dict[str, str]:
        """What should no longer be seen, by the structure that is painted black."""
        named = {
            "lv": self.left_ventricle,
            "la": self.left_atrium,
            "rv": self.right_ventricle,
            "ra": self.right_atrium,
        }
        return {structure: sentence for structure, sentence in named.items() if sentence}

    def __post_init__(self):
        for template in self.ejection_fraction:
            if NUMBER not in template:
                raise UserError(
                    f"ejection fraction prompt {template!r} has no {NUMBER}, where the number "
                    "goes; add it"
                )
