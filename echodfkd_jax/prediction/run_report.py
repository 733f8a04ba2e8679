"""`run_report.json`: by what, of what and in which way a table of predictions was made."""

import datetime
import importlib.metadata
import time
from collections.abc import Sequence
from typing import Any

from etils import epath

from echodfkd_jax import files
from echodfkd_jax.measurement.verdict import VERDICTS
from echodfkd_jax.prediction.several import Done, Record, Work
from echodfkd_jax.reporting import predictions
from echodfkd_jax.runs import provenance

RUN_REPORT = "run_report.json"
# Whose releases may change a number.
_PACKAGES = (
    *("jax", "jaxlib", "flax", "numpy", "scipy", "scikit-image"),
    *("opencv-python-headless", "av", "pydicom", "nibabel", "highdicom"),
)


class RunReport:
    """Collects what becomes of the clips of a call; small, whatever they are."""

    def __init__(self, work: Work) -> None:
        """Begins.

        Args:
            work: what is done with every clip.
        """
        self._work = work
        self._started = datetime.datetime.now(datetime.UTC)
        self._start_s = time.perf_counter()
        self._done: list[tuple[int, Record, str, bool]] = []

    def add(self, done: Done) -> None:
        """One clip more."""
        self._done.append((done.number, done.record, done.sha256, done.kept))

    @property
    def records(self) -> list[Record]:
        """The lines of the table in the order in which the clips were named."""
        return [record for _, record, *_ in self._in_order()]

    @property
    def num_kept(self) -> int:
        """Clips that were done before."""
        return sum(kept for *_, kept in self._done)

    @property
    def num_failed(self) -> int:
        """Clips without an outline."""
        return sum(record["status"] != "ok" for record in self.records)

    def write(self, output: epath.Path) -> epath.Path:
        """Writes the table and the report, and returns the table's path."""
        table = predictions.write_table(output, self.records)
        files.write_json(output / RUN_REPORT, self._content(), indent=1)
        return table

    def _content(self) -> dict[str, Any]:
        seconds = time.perf_counter() - self._start_s
        new = len(self._done) - self.num_kept
        made = self._work.made()
        return {
            "notice": predictions.DISCLAIMER,
            **made,
            "student": {**made["student"], "structures": list(self._work.student.structures)},
            "environment": provenance.environment(),
            "packages": _versions(),
            "started": self._started.isoformat(timespec="seconds"),
            "seconds": seconds,
            "clips_per_s": new / seconds,
            "num_clips": len(self._done),
            "num_kept": self.num_kept,
            "num_failed": self.num_failed,
            "verdicts": {
                word: sum(record.get("verdict") == word for record in self.records)
                for word in VERDICTS
            },
            "inputs": [
                {
                    "name": record["name"],
                    "source": record["source"],
                    "sha256": sha256 or None,
                    "status": record["status"],
                    "kept": kept,
                }
                for _, record, sha256, kept in self._in_order()
            ],
        }

    def _in_order(self) -> Sequence[tuple[int, Record, str, bool]]:
        return sorted(self._done, key=lambda one: one[0])


def _versions() -> dict[str, str]:
    """Of the packages that are installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
