"""What the page wants of an outlined clip, and what somebody did to one, with undo and redo."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

# Corrections that can be taken back.
MAX_STEPS = 200


@runtime_checkable
class WorkClip(Protocol):
    """An outlined clip. Corrections are JSON that only the clip understands; None is none.

    Attributes:
        name: of its results, a file name without suffix.
        num_bytes: that it takes in memory, about.
    """

    name: str
    num_bytes: int

    def opened(self) -> Mapping[str, Any]:
        """JSON of what stays as it is; `formats` lists as what it can be downloaded besides."""
        ...

    def pictures(self) -> Sequence[bytes]:
        """Every frame as JPEG."""
        ...

    def measured(self, content: Any) -> Mapping[str, Any]:
        """JSON of the clip as it is corrected: `corrections` as they were understood, `record`.

        Raises:
            UserError: these are no corrections of this clip.
        """
        ...

    def write_results(self, content: Any, folder: pathlib.Path, name: str, form: str) -> None:
        """Writes all files of the clip, corrected ones beside the predicted ones.

        Args:
            content: corrections, or None.
            folder: exists and is empty.
            name: of the files, without suffix.
            form: of `opened()["formats"]`; empty: the files of a prediction.

        Raises:
            UserError: the clip cannot be written so; the message says why.
        """
        ...


class History:
    """The corrections of one clip in the order in which they were made."""

    def __init__(self) -> None:
        self._steps: list[Any] = [None]
        self._at = 0

    @property
    def now(self) -> Any:
        """The corrections as they are; None: nothing is corrected."""
        return self._steps[self._at]

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return self._at > 0

    @property
    def can_redo(self) -> bool:
        """Whether a step was taken back."""
        return self._at < len(self._steps) - 1

    def keep(self, corrections: Any) -> None:
        """Makes these the corrections; what had been taken back is forgotten."""
        if corrections == self.now:
            return
        self._steps[self._at + 1 :] = [corrections]
        del self._steps[: max(0, len(self._steps) - 1 - MAX_STEPS)]
        self._at = len(self._steps) - 1

    def undo(self) -> None:
        """Takes a step back, if there is one."""
        self._at = max(self._at - 1, 0)

    def redo(self) -> None:
        """Makes a step again that was taken back, if there is one."""
        self._at = min(self._at + 1, len(self._steps) - 1)
