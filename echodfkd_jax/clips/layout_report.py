"""What became of every clip of a folder: the rules, and who fell under which."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from echodfkd_jax.clips import finding

_MAX_LINES = 20


class Rules(NamedTuple):
    """What may be wrong in a layout and what is done then: rule -> sentence.

    Attributes:
        left_out: of clips that are not used; the rule is what stands in `prepare_report.json`.
        used: of clips that are used, and what was done about them.
        tables: of tables rather than clips.
    """

    left_out: Mapping[str, str]
    used: Mapping[str, str]
    tables: Mapping[str, str]

    @property
    def all(self) -> dict[str, str]:
        """Every rule."""
        return {**self.left_out, **self.used, **self.tables}


ECHONET = Rules(
    left_out={
        "missing": "listed in FileList.csv, but there is no such video: left out",
        "unlisted": "a video that FileList.csv does not list, so of no known split: left out",
        "unreadable": "not a video, or not one frame of it can be decoded: left out",
        "truncated": "less than 90 % of the frames in its header can be decoded: left out",
        "too_short": "fewer frames than a window: left out",
        "no_mask": "the teacher has no usable mask for it: left out",
    },
    used={
        "untraced": "no tracing: used without ED and ES frames and without reference masks",
        "resized": "not of the project's frame size: resized, its tracings too",
        "fewer_frames": "a few frames less than its header says are there: used as far as it goes",
        "several_annotators": "more than one tracing of a frame: the first is used",
        "incomplete_tracing": "too few rows (21 chords, or 3 points): that tracing is not used",
        "tracing_outside_clip": "a traced frame that the video has not: that tracing is not used",
        "empty_tracing": "a tracing that encloses no pixel: that tracing is not used",
        "one_traced_frame": "one traced frame only: a reference mask, but no ED and ES frames",
        "es_before_ed_in_table": "the smaller polygon is first in its table: ED is the larger",
        "ef_fraction": "EF of FileList.csv is a fraction of 1: taken times 100",
        "mask_mismatch": "a teacher mask that is unreadable or of another length: used without it",
    },
    tables={
        "traced_but_unlisted": "in VolumeTracings.csv, but not in FileList.csv: ignored",
    },
)


@dataclasses.dataclass
class LayoutReport:
    """Counts and names, by rule.

    Attributes:
        folder: the folder that was read.
        num_listed: clips that should be there (of the asked split); found where no table says.
        num_used: clips that can be used.
        names: rule -> names of the clips under it; several rules may name the same clip.
        reasons: name -> what exactly was wrong, for clips that could not be read.
        passed_over: kind -> files in the folder that are no clips.
        rules: of its layout.
    """

    folder: str
    num_listed: int = 0
    num_used: int = 0
    names: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    reasons: dict[str, str] = dataclasses.field(default_factory=dict)
    passed_over: dict[str, list[pathlib.Path]] = dataclasses.field(default_factory=dict)
    rules: Rules = ECHONET

    def note(self, rule: str, name: str, reason: str = "") -> None:
        """Puts a clip under a rule."""
        if rule not in self.rules.all:
            raise KeyError(rule)
        self.names.setdefault(rule, []).append(name)
        if reason:
            self.reasons[name] = reason

    def count(self, rule: str) -> int:
        """How many clips are under a rule."""
        return len(self.names.get(rule, []))

    @property
    def num_left_out(self) -> int:
        """Clips under one of the rules that leave a clip out."""
        return sum(self.count(rule) for rule in self.rules.left_out)

    def to_json(self) -> dict[str, Any]:
        """Every rule with its count and names, as `prepare_report.json` has it."""

        def section(rules: Mapping[str, str]) -> dict[str, Any]:
            return {
                rule: {
                    "rule": text,
                    "count": self.count(rule),
                    "clips": sorted(self.names.get(rule, [])),
                }
                for rule, text in rules.items()
            }

        return {
            "folder": self.folder,
            "num_listed": self.num_listed,
            "num_used": self.num_used,
            "num_left_out": self.num_left_out,
            "left_out": section(self.rules.left_out),
            "used": section(self.rules.used),
            "tables": section(self.rules.tables),
            "reasons": dict(sorted(self.reasons.items())),
            "passed_over": {
                kind: [str(path) for path in paths]
                for kind, paths in sorted(self.passed_over.items())
            },
        }

    def left_out(self) -> list[dict[str, str]]:
        """Every clip that is not used, with its rule and the reason."""
        return [
            {"name": name, "rule": rule, "reason": self.reasons.get(name, text)}
            for rule, text in self.rules.left_out.items()
            for name in sorted(self.names.get(rule, []))
        ]

    def lines(self) -> list[str]:
        """For the terminal: a line for each clip that is not used and for each kind of other files.

        Of very many clips under one rule the first are named.
        """
        found = [self.summary()]
        for rule in self.rules.left_out:
            clips = [clip for clip in self.left_out() if clip["rule"] == rule]
            found += [f"left out: {c['name']}: {c['reason']}" for c in clips[:_MAX_LINES]]
            if len(clips) > _MAX_LINES:
                found.append(
                    f"left out: {len(clips) - _MAX_LINES} more, {self.rules.left_out[rule]}"
                )
        return found + finding.summary(self.passed_over)

    def summary(self) -> str:
        """One line for the terminal."""
        counts = [f"{self.count(rule)} {rule}" for rule in self.rules.all if self.count(rule)]
        noted = f" ({', '.join(counts)})" if counts else ""
        return f"{self.folder}: {self.num_used} clips used, {self.num_left_out} left out{noted}"
