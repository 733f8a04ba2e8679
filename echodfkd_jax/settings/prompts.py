"""Every sentence that the judge is asked about; replace any of them in `config.judge.prompts`.

The sentences are those of EchoDFKD (Petit et al., arXiv 2409.07566) and, for the ejection
fraction, of EchoCLIP (Christensen et al., Nature Medicine 2024). Trailing spaces matter.
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
