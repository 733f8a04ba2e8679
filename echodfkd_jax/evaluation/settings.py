"""What an evaluation is asked to do; impossible values are refused here, by field name."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from echodfkd_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class EvalSettings:
    """Section `config.eval`.

    Attributes:
        checkpoint: "best" (lowest validation loss), "latest", or a step.
        weights: a safetensors file of a student, or "best" or "small" of the shipped ones, to
            evaluate instead of the run's; empty: the run's, or without a run on `clips_dir` the
            best shipped one.
        split: of the run's data set: "train", "validation" or "test".
        clips_dir: a folder in the EchoNet layout, evaluated instead of the split; empty: none.
        bootstrap_samples: for the intervals.
        seed: of the bootstrap.
        batch_size: clips of equal length that are predicted at once.
        watch: wait for checkpoints and evaluate each of them, until training has ended.
        poll_s: seconds between two looks at the checkpoints while watching.
    """

    checkpoint: str | int = "best"
    weights: str = ""
    split: str = "test"
    clips_dir: str = ""
    bootstrap_samples: int = 1000
    seed: int = 0
    batch_size: int = 4
    watch: bool = False
    poll_s: float = 5.0

    def __post_init__(self) -> None:
        _at_least("config.eval.bootstrap_samples", self.bootstrap_samples, 1)
        _at_least("config.eval.batch_size", self.batch_size, 1)
        if not 0 <= self.seed < 2**63:
            raise UserError(f"config.eval.seed={self.seed}: expected 0 to 2^63 - 1")
        if self.poll_s <= 0:
            raise UserError(f"config.eval.poll_s={self.poll_s}: expected seconds, more than 0")
        if self.watch and self.weights:
            raise UserError(
                f"config.eval.weights={self.weights!r}: expected none, as config.eval.watch scores "
                "the checkpoints of a run"
            )


def from_section(section: Mapping[str, Any]) -> EvalSettings:
    """The settings of `config.eval`.

    Raises:
        UserError: an unknown field, or a value that does not fit.
    """
    known = [field.name for field in dataclasses.fields(EvalSettings)]
    unknown = sorted(set(section) - set(known))
    if unknown:
        raise UserError(f"config.eval.{unknown[0]} is no field; known: {', '.join(known)}")
    return EvalSettings(**section)


def _at_least(field: str, value: int, least: int) -> None:
    if value < least:
        raise UserError(f"{field}={value}: expected {least} or more")
