"""How a generator of clips is learnt, and what it is asked for."""

import dataclasses
from typing import ClassVar

from echodfkd_jax.settings.section import Section, setting

# Networks that make clips and do not outline them, as `config.model.name` calls them.
GENERATORS = ("latent_video",)


def is_generator(name: str) -> bool:
    """Whether the network of `config.model.name` makes clips."""
    return name in GENERATORS


@dataclasses.dataclass(frozen=True)
class GeneratorSettings(Section):
    """How a generator of clips is learnt, where `config.model` is one."""

    section: ClassVar[str] = "generator"
    decides_weights: ClassVar[bool] = True

    drop: float = setting(
        0.1,
        "probability that a clip's ejection fraction is not told, and that its frame is not shown; "
        "without it there is no guidance",
        least=0,
        most=1,
    )
    fps: float = setting(32.0, "frames per second that clips are brought to", least=1, most=1000)


@dataclasses.dataclass(frozen=True)
class GenerateSettings(Section):
    """Clips from a generator that was learnt."""

    section: ClassVar[str] = "generate"

    output: str = setting("", "folder of the clips; empty: <workdir>/generated")
    checkpoint: str | int = setting(
        "best", "of the run: 'best' (lowest validation loss), 'latest', or a step"
    )
    num_clips: int = setting(100, "that are kept", least=1)
    num_frames: int = setting(64, "of each", least=1)
    least_ef_percent: float = setting(10.0, "ejection fractions are drawn from", least=0, most=100)
    most_ef_percent: float = setting(90.0, "evenly up to", least=0, most=100)
    steps: int = setting(64, "of the sampler", least=1, most=1000)
    guidance: float = setting(
        1.0, "more: the ejection fraction counts more; 1: as it was learnt", least=0
    )
    batch_size: int = setting(4, "clips at once", least=1)
    filter: bool = setting(
        True, "leave out clips that resemble a training clip more than held-out ones do"
    )
    seed: int = setting(0, "of all that is drawn", least=0, most=2**31 - 2)

    def __post_init__(self) -> None:
        """Refuses impossible values."""
        super().__post_init__()
        least, most = self.least_ef_percent, self.most_ef_percent
        self.require(
            least <= most, "most_ef_percent", most, f"least_ef_percent, {least:g}, or more"
        )
