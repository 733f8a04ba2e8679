"""Whatever a file holds, its reader ends in a result or in one line that names the file.

Each within 20 seconds of computing and 1 GiB. Many more inputs, and how often readers refused:

    ECHODFKD_FUZZ_INPUTS=2000 python -m pytest -s tests/fuzz
"""

import collections
import json
import os
import pathlib
import select
import signal
import subprocess
import sys

import hypothesis
import pytest
from hypothesis import Phase

from tests.fuzz import damage, lies, samples

NUM_INPUTS = int(os.environ.get("ECHODFKD_FUZZ_INPUTS", "160"))
# In which a file that hangs without computing is given up.
SECONDS = 600
PLACES = {
    "png": "png/1.png",
    "metrics.json": "evaluation/metrics.json",
    "config.json": "run/config.json",
    "metadata.json": "data/metadata.json",
    "teacher.seg.npz": "masks/1.seg.npz",
    "shown.npz": "shown/predictions/000.npz",
}
pytestmark = pytest.mark.slow


class Reading:
    """A process that reads files; a new one when it hangs or dies."""

    def __init__(self, folder):
        self._folder = folder
        self.marker = folder / "unpickled"
        self.counts = collections.Counter()
        self.slowest = (0.0, "")
        for name in PLACES.values():
            (folder / name).parent.mkdir(parents=True)
        (folder / "data" / "dataset_info.json").touch()
        self._start()

    def check(self, kind, content):
        """Has a file read.

        Raises:
            AssertionError: it ended in anything but a result or a good refusal.
        """
        path = self._folder / PLACES.get(kind, f"in.{kind}")
        path.write_bytes(content)
        self._process.stdin.write(f"{kind}\t{path}\n")
        self._process.stdin.flush()
        outcome, text, time_s = self._line(SECONDS)
        self.counts[kind, outcome] += 1
        self.slowest = max(self.slowest, (time_s, f"{kind}: {text}"))
        if outcome in ("hang", "crash"):
            self.close()
            self._start()
        assert outcome in ("result", "refusal"), f"{kind}, {outcome}: {text}"
        assert not self.marker.exists(), f"{kind}: a pickle was run"

    def close(self):
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def _start(self):
        self._log = (self._folder / "worker.log").open("a")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker", str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=pathlib.Path(__file__).parents[2],
        )
        outcome, text, _ = self._line(300)
        assert outcome == "ready", f"{outcome}: {text}; see {self._log.name}"

    def _line(self, seconds):
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            return "hang", f"no answer in {seconds} s", seconds
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        status = self._process.wait()
        if status == -signal.SIGPROF:
            return "hang", "computed for too long", 0.0
        return "crash", f"the interpreter ended with {status}", 0.0


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    reading = Reading(tmp_path_factory.mktemp("fuzz"))
    yield reading
    reading.close()
    for (kind, outcome), count in sorted(reading.counts.items()):
        print(f"\n{kind:20} {outcome:8} {count:6}", end="")
    print(f"\n{sum(reading.counts.values())} inputs; the slowest took {reading.slowest}")


@pytest.mark.parametrize("name", sorted(samples.SAMPLES))
def test_a_sound_file_is_read(reading, name):
    sample = samples.get(name)
    before = reading.counts[sample.reader, "result"]
    reading.check(sample.reader, sample.pack(sample.content))
    assert reading.counts[sample.reader, "result"] == before + 1


@pytest.mark.parametrize("name", sorted(samples.SAMPLES))
def test_a_damaged_file_is_read_or_refused(reading, name):
    sample = samples.get(name)
    others = [samples.get(other).content for other in ("avi", "dicom", "npz", "file_list")]

    # Always the same inputs for a given number of them.
    @hypothesis.settings(
        max_examples=max(1, NUM_INPUTS // len(samples.SAMPLES)),
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(damage.damaged(sample.content, others))
    def check(content):
        reading.check(sample.reader, sample.pack(content))

    check()


def test_no_lie_is_believed(reading):
    findings = []
    for name, (kind, content) in lies.all_lies(reading.marker).items():
        try:
            reading.check(kind, content)
        except AssertionError as finding:
            findings.append(f"{name}: {finding}")
    assert not findings, "\n".join(findings)
