"""One side of a comparison in a process of its own: what `benchmarks.gpu` and its sides speak.

A line of JSON each way. To the side: `prepare` a case, `run` it so many times, `drop` it. From it:
what it is, then that a case is ready or cannot be built, and how long the runs took.
"""

import collections
import concurrent.futures
import dataclasses
import json
import os
import queue
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, TextIO

# Makes a program: what is known of it before it is run, and what calls it so many times and waits.
Prepare = Callable[[dict[str, Any]], tuple[dict[str, Any], Callable[[int], None]]]


class Clock:
    """Seconds since it was made, and seconds left until a limit."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._stop = float("inf")

    def stop_after(self, seconds: float) -> None:
        """Sets the limit, counted from when the clock was made."""
        self._stop = self._start + seconds

    def passed(self) -> float:
        """Seconds since the clock was made."""
        return time.perf_counter() - self._start

    def left(self) -> float:
        """Seconds until the limit; 0 or less when it has passed."""
        return self._stop - time.perf_counter()

    def shorter(self, seconds: float) -> "Clock":
        """A clock that stops in so many seconds, or when this one does."""
        clock = Clock()
        clock.stop_after(min(seconds, self.left()))
        return clock


class Process:
    """The asking end."""

    def __init__(self, module: str) -> None:
        """Starts `python -m module`, which is to call `serve`."""
        self.metadata: dict[str, Any] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._ready: dict[str, dict[str, Any]] = {}
        self._news = threading.Condition()
        self._runs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._gone = False
        threading.Thread(target=self._listen, daemon=True).start()

    def prepare(self, case: Any) -> None:
        """Asks for a program; does not wait for it."""
        self._say({"do": "prepare", "case": dataclasses.asdict(case)})

    def wait(self, case: Any, clock: Clock) -> None:
        """Waits until the program is ready or refused, or the clock stops."""
        with self._news:
            self._news.wait_for(lambda: self.ready(case) is not None, max(0.0, clock.left()))

    def ready(self, case: Any) -> dict[str, Any] | None:
        """What is known of a program; `error` if there is none; None if it is not ready yet."""
        gone = {"error": "its process ended"} if self._gone else None
        return self._ready.get(_name(dataclasses.asdict(case)), gone)

    def run(self, case: Any, count: int, clock: Clock) -> dict[str, Any]:
        """Runs a program that is ready; gives `seconds` for all runs, or an `error`."""
        if self._gone:
            return {"error": "its process ended"}
        self._say({"do": "run", "case": dataclasses.asdict(case), "count": count})
        try:
            return self._runs.get(timeout=max(0.0, clock.left()))
        except queue.Empty:
            return {"error": "time was up"}

    def drop(self, case: Any) -> None:
        """Lets a program and its memory go."""
        self._say({"do": "drop", "case": dataclasses.asdict(case)})

    def end(self) -> None:
        """Stops the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()

    def _say(self, message: dict[str, Any]) -> None:
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError:
            self._gone = True

    def _listen(self) -> None:
        for line in self._process.stdout:
            message = json.loads(line)
            kind = message.pop("kind")
            if kind == "run":
                self._runs.put(message)
                continue
            with self._news:
                if kind == "metadata":
                    self.metadata = message
                else:
                    self._ready[message.pop("name")] = message
                self._news.notify_all()
        with self._news:
            self._gone = True
            self._news.notify_all()
        self._runs.put({"error": "its process ended"})


def serve(metadata: dict[str, Any], prepare: Prepare, *, threads: int) -> None:
    """The answering end: reads standard input until it closes.

    Args:
        metadata: what this side is.
        prepare: makes a program of a case.
        threads: programs that are made at once, in threads; 0: they are made in this one, one after
            the other, and runs that are asked for meanwhile come before the next.
    """
    # Whatever libraries print goes to the error stream; the real one carries answers alone.
    side = _Side(prepare, os.fdopen(os.dup(1), "w", buffering=1))
    os.dup2(2, 1)
    side.say({"kind": "metadata", **metadata})
    asked: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(asked,), daemon=True).start()
    pool = concurrent.futures.ThreadPoolExecutor(threads) if threads else None
    later: collections.deque[dict[str, Any]] = collections.deque()
    while True:
        try:
            message = asked.get(block=not later)
        except queue.Empty:
            side.make(later.popleft())
            continue
        if message["do"] == "stop":
            return
        if message["do"] == "prepare":
            if pool is None:
                later.append(message["case"])
            else:
                pool.submit(side.make, message["case"])
        else:
            getattr(side, message["do"])(message)


class _Side:
    def __init__(self, prepare: Prepare, answers: TextIO) -> None:
        self._prepare, self._answers = prepare, answers
        self._lock = threading.Lock()
        self._runs: dict[str, Callable[[int], None]] = {}

    def say(self, message: dict[str, Any]) -> None:
        with self._lock:
            self._answers.write(json.dumps(message) + "\n")

    def make(self, case: dict[str, Any]) -> None:
        start = time.perf_counter()
        try:
            known, self._runs[_name(case)] = self._prepare(case)
        except Exception as error:
            traceback.print_exc()
            known = {"error": _reason(error)}
        known["made_in_s"] = time.perf_counter() - start
        self.say({"kind": "ready", "name": _name(case), **known})

    def run(self, message: dict[str, Any]) -> None:
        start = time.perf_counter()
        try:
            self._runs[_name(message["case"])](message["count"])
            self.say({"kind": "run", "seconds": time.perf_counter() - start})
        except Exception as error:
            self.say({"kind": "run", "error": _reason(error)})

    def drop(self, message: dict[str, Any]) -> None:
        self._runs.pop(_name(message["case"]), None)


def _read(asked: queue.SimpleQueue) -> None:
    for line in sys.stdin:
        asked.put(json.loads(line))
    asked.put({"do": "stop"})


def _name(case: dict[str, Any]) -> str:
    return json.dumps(case, sort_keys=True)


def _reason(error: Exception) -> str:
    text = str(error)
    if "out of memory" in text.lower() or "RESOURCE_EXHAUSTED" in text:
        return "out of memory"
    return f"{type(error).__name__}: {text.splitlines()[0][:150] if text else ''}"
