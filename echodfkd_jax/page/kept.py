"""Answers that a browser may still ask for: in memory, few of them, for a while."""

import collections
import dataclasses
import secrets
import threading
from collections.abc import Mapping
from typing import Any

KEPT_ANSWERS = 8
KEPT_S = 1800.0


@dataclasses.dataclass(frozen=True)
class Answer:
    """What is known about one clip.

    Attributes:
        content: of its JSON file.
        files: content by name; `video`, `curve` and `archive` are among the names.
        video: name of the outlined loop.
        curve: name of the picture of the area.
        archive: name of the file that holds the others.
    """

    content: Mapping[str, Any]
    files: Mapping[str, bytes]
    video: str
    curve: str
    archive: str


class KeptAnswers:
    """The newest `KEPT_ANSWERS` answers, each for at most `kept_s` seconds; nothing on disk."""

    def __init__(self, kept_s: float = KEPT_S) -> None:
        """Starts empty.

        Args:
            kept_s: seconds that an answer is kept.
        """
        self._kept_s = kept_s
        self._answers: collections.OrderedDict[str, Answer] = collections.OrderedDict()
        self._lock = threading.Lock()

    def add(self, answer: Answer) -> str:
        """Keeps an answer and returns the name, not to be guessed, under which it is found."""
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._answers[name] = answer
            while len(self._answers) > KEPT_ANSWERS:
                self._answers.popitem(last=False)
        timer = threading.Timer(self._kept_s, self._forget, [name])
        timer.daemon = True  # It must not keep the program from ending.
        timer.start()
        return name

    def get(self, name: str) -> Answer | None:
        """The answer, or None when it was never there or is no longer kept."""
        with self._lock:
            return self._answers.get(name)

    def _forget(self, name: str) -> None:
        with self._lock:
            self._answers.pop(name, None)
