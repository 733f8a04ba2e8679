"""Whatever a file holds, its reader ends in a result or in one line that names the file.

Many more inputs: ECHODFKD_FUZZ_INPUTS=2000 python -m pytest -s tests/fuzz
"""

import collections
import importlib.util
import json
import os
import pathlib
import pickle
import random
import select
import subprocess
import sys

from tests.fuzz import samples

NUM_INPUTS = int(os.environ.get("ECHODFKD_FUZZ_INPUTS", "170"))
SECONDS = 10
NAMES = {"png": "png/1.png", "metrics.json": "m/metrics.json", "config.json": "c/config.json"}


class _Worker:
    def __init__(self, folder):
        self._log = (folder / "worker.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=pathlib.Path(__file__).parents[2],
        )
        assert self._line(120)[0] == "ready"

    def ask(self, kind, path):
        self._process.stdin.write(f"{kind}\t{path}\n")
        self._process.stdin.flush()
        return self._line(SECONDS)

    def close(self):
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def _line(self, seconds):
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            return "hang", f"no answer in {seconds} s"
        line = self._process.stdout.readline()
        return json.loads(line) if line else ("crash", "the interpreter ended")


def _cases(folder):
    good = samples.sound(folder)
    if importlib.util.find_spec("torch"):
        source = pathlib.Path(__file__).parents[1] / "testdata" / "student_22_filters4.ckpt"
        good["ckpt"] = source.read_bytes()
        yield "ckpt", pickle.dumps(samples._Payload())
    yield from good.items()
    yield from samples.lies(good)
    generator = random.Random(0)
    kinds = list(good)
    for number in range(NUM_INPUTS):
        kind = kinds[number % len(kinds)]
        yield kind, samples.damaged(good[kind], generator)


def test_every_input_ends_in_a_result_or_one_line(tmp_path):
    counts, findings, worker = collections.Counter(), [], _Worker(tmp_path)
    for number, (kind, content) in enumerate(_cases(tmp_path)):
        path = tmp_path / NAMES.get(kind, f"in.{kind}")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        outcome, text = worker.ask(kind, path)
        counts[kind, outcome] += 1
        if outcome not in ("result", "refusal"):
            findings.append(f"input {number}, {kind}: {outcome}: {text}")
        if outcome in ("hang", "crash"):
            worker.close()
            worker = _Worker(tmp_path)
    worker.close()
    print(*sorted(counts.items()), sep="\n")
    assert not pathlib.Path("/tmp/echodfkd_fuzz_was_here").exists()
    assert not findings, "\n".join(findings[:40])
