"""What a section of the configuration is: fields that know their default, meaning and limits."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import ml_collections

from echodfkd_jax.errors import UserError


def setting(
    default: Any,
    doc: str,
    *,
    least: int | float | None = None,
    most: int | float | None = None,
    choices: tuple[str, ...] = (),
    off: bool = False,
    resumable: bool = False,
) -> Any:
    """A field of a section.

    Args:
        default: where a configuration says nothing.
        doc: what it means, with units.
        least: the smallest value that is allowed.
        most: the largest.
        choices: all values that are allowed.
        off: `least` switches it off; told in the message about a wrong value.
        resumable: a run may be continued with another value, because the weights do not depend
            on it or because training simply goes on.
    """
    metadata = {
        "doc": doc,
        "least": least,
        "most": most,
        "choices": choices,
        "off": off,
        "resumable": resumable,
    }
    return dataclasses.field(default=default, metadata=metadata)


_Made = TypeVar("_Made", bound="Section")


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of the configuration; every field is made by `setting`.

    Attributes:
        section: its name, as in `config.<section>`.
        decides_weights: a run cannot be continued with other values, but for resumable fields.
    """

    section: ClassVar[str] = ""
    decides_weights: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuses impossible values.

        Raises:
            UserError: names the field, its value and what was expected.
        """
        for field in dataclasses.fields(self):
            value, limits = getattr(self, field.name), field.metadata
            wrong = bool(limits["choices"]) and value not in limits["choices"]
            if limits["least"] is not None:
                most = math.inf if limits["most"] is None else limits["most"]
                wrong = not limits["least"] <= value <= most  # So that nan is refused too.
            if wrong:
                self.require(False, field.name, value, _expected(limits))

    @classmethod
    def require(cls, ok: bool, field: str, value: object, expected: str) -> None:
        """Refuses a value.

        Raises:
            UserError: not `ok`.
        """
        if not ok:
            raise UserError(f"config.{cls.section}.{field}={value!r}: expected {expected}")

    @classmethod
    def of(cls: type[_Made], values: Mapping[str, Any] | ml_collections.ConfigDict) -> _Made:
        """The settings of a section of the configuration.

        Raises:
            UserError: an unknown field, or a value that does not fit.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise UserError(
                f"config.{cls.section}.{unknown[0]} is no field; known: {', '.join(known)}"
            )
        return cls(**values)

    @classmethod
    def resumable(cls) -> set[str]:
        """The fields that may change when a run is continued, as `section.field`."""
        fields = dataclasses.fields(cls)
        return {f"{cls.section}.{f.name}" for f in fields if f.metadata["resumable"]}


def _expected(limits: Mapping[str, Any]) -> str:
    if limits["choices"]:
        return " or ".join(repr(choice) for choice in limits["choices"])
    least = f"{limits['least']:g}" + " (off)" * limits["off"]
    return f"{least} or more" if limits["most"] is None else f"{least} to {limits['most']:g}"
