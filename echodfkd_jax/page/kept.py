"""Clips that somebody works on: in memory, few of them, until they are left alone for a while."""

import collections
import dataclasses
import secrets
import threading
import time

from echodfkd_jax.errors import UserError
from echodfkd_jax.page.work import History, WorkClip

MAX_CLIPS = 24
MAX_BYTES = 2**30
# An open page asks for its clips more often than that.
KEPT_S = 1800.0


@dataclasses.dataclass(eq=False)
class Kept:
    """A clip and what was done to it.

    Attributes:
        clip: the outlined clip.
        source: the name of its file.
        history: its corrections.
        lock: held while they change.
        used_s: when it was last asked for, of `time.monotonic`.
    """

    clip: WorkClip
    source: str
    history: History = dataclasses.field(default_factory=History)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    used_s: float = dataclasses.field(default_factory=time.monotonic)


class KeptClips:
    """At most `MAX_CLIPS` clips, each until nobody asked for it in `kept_s`; nothing on disk."""

    def __init__(self, kept_s: float = KEPT_S) -> None:
        """Starts empty.

        Args:
            kept_s: seconds that a clip is kept after it was last asked for.
        """
        self._kept_s = kept_s
        self._clips: collections.OrderedDict[str, Kept] = collections.OrderedDict()
        self._lock = threading.Lock()

    def add(self, clip: WorkClip, source: str) -> str:
        """Keeps a clip and returns the name, not to be guessed, under which it is found.

        Where there is no room, clips without corrections go, those first that were not asked for
        the longest.

        Args:
            clip: the outlined clip.
            source: the name of its file.

        Raises:
            UserError: all clips are corrected, and there is no room for another.
        """
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._make_room(clip.num_bytes)
            self._clips[name] = Kept(clip, source)
        self._look_again(name, self._kept_s)
        return name

    def get(self, name: str) -> Kept | None:
        """The clip, or None when it was never there or is no longer kept."""
        with self._lock:
            kept = self._clips.get(name)
            if kept is not None:
                kept.used_s = time.monotonic()
                self._clips.move_to_end(name)
            return kept

    def remove(self, name: str) -> None:
        """Forgets a clip, if it is there."""
        with self._lock:
            self._clips.pop(name, None)

    def _make_room(self, num_bytes: int) -> None:
        while self._clips and not self._has_room(num_bytes):
            names = (name for name, kept in self._clips.items() if kept.history.now is None)
            name = next(names, None)
            if name is None:
                raise UserError(
                    f"{len(self._clips)} corrected clips are kept and there is no room for "
                    "another; download their corrections and remove some"
                )
            del self._clips[name]

    def _has_room(self, num_bytes: int) -> bool:
        taken = sum(kept.clip.num_bytes for kept in self._clips.values())
        return len(self._clips) < MAX_CLIPS and taken + num_bytes <= MAX_BYTES

    def _look_again(self, name: str, after_s: float) -> None:
        timer = threading.Timer(after_s, self._forget_unused, [name])
        timer.daemon = True  # It must not keep the program from ending.
        timer.start()

    def _forget_unused(self, name: str) -> None:
        with self._lock:
            kept = self._clips.get(name)
            if kept is None:
                return
            left_s = kept.used_s + self._kept_s - time.monotonic()
            if left_s <= 0:
                del self._clips[name]
        if left_s > 0:
            self._look_again(name, left_s)
