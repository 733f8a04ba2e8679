"""What only a GPU can tell, most important figures first, within a limit of seconds.

    python -m benchmarks.gpu --limit_s=165 --out=benchmarks/gpu.json

Training step (frames uint8 in, Adam's update out), inference of whole clips and the generator, in
float32 and bfloat16; PyTorch beside them, eager and with its cells compiled, where it is installed
with CUDA. Times are alternated; floors come from a matrix product and a copy measured in the same
minutes. Both sides run in processes of their own (`gpu_ours.py`, `gpu_torch.py`), so that neither
can take the other's figures away: what cannot be built, or does not fit the memory, says so in its
row. Compiles a round of programs at once, times it, and goes on until time is up.

Needs jax, flax, optax, jaxtyping and safetensors; `--tiny` is for trying the script out on a CPU.
"""

import argparse
import dataclasses
import datetime
import json
import pathlib
import statistics
import subprocess
import sys

from benchmarks.gpu_process import Clock, Process

REPETITIONS, BLOCK_S = 5, 0.3
# A round is timed without the programs that take longer than this to be made; theirs comes later.
PATIENCE_S = 60.0
MATRIX, VECTOR = 8192, 2**29
SIDES = {"ours": ("plain", "lean", "blocks"), "torch": ("eager", "compiled")}
FIGURES = ("ceilings", "training", "inference", "generator")


@dataclasses.dataclass(frozen=True)
class Case:
    """One program to be timed; what differs within a group is `side` and `form`.

    Attributes:
        figure: one of `FIGURES`.
        side: "ours" or "torch".
        form: one of the side's `SIDES`.
        dtype: of the products' factors.
        blocks: k of the student.
        layers: n of the student.
        pixels: the frames' side.
        batch: clips.
        frames: of each clip.
    """

    figure: str
    side: str
    form: str
    dtype: str
    blocks: int = 0
    layers: int = 0
    pixels: int = 0
    batch: int = 0
    frames: int = 0

    @property
    def group(self) -> str:
        """What is measured, in words: the same for all that are held against each other."""
        if self.figure == "ceilings":
            return f"{self.form}, {self.dtype}"
        size = f"{self.batch} x {self.frames} frames of {self.pixels}x{self.pixels}"
        if self.figure == "generator":
            return f"generator, {size}"
        return f"{self.figure}, k={self.blocks} n={self.layers}, {size}, {self.dtype}"

    @property
    def column(self) -> str:
        """Whose it is, in words."""
        return f"{self.side} {self.form}"


def plan(*, tiny: bool) -> list[list[Case]]:
    """Rounds of cases, the most important first."""
    ceilings = [
        Case("ceilings", "ours", form, dtype, batch=64 if tiny else size)
        for form, dtype, size in (
            ("product", "bfloat16", MATRIX),
            ("product", "float32", MATRIX),
            ("copy", "float32", VECTOR),
        )
    ]

    def student(figure: str, size: str, batch: int, *forms: str) -> list[Case]:
        blocks, layers = int(size[0]), int(size[1])
        pixels = 112 if size == "33" or figure == "inference" else 56
        frames = 176 if figure == "inference" else 25
        if tiny:
            blocks, layers, pixels, frames, batch = blocks - 2, 1, pixels // 7, 3, batch // 8
        return [
            Case(figure, side, form, dtype, blocks, layers, pixels, batch, frames)
            for dtype in ("float32", "bfloat16")
            for side, known in SIDES.items()
            for form in known
            if form in forms
        ]

    ours, torch = ("plain", "blocks"), ("eager", "compiled")
    clips = {"pixels": 112, "batch": 2 if tiny else 32, "frames": 3 if tiny else 25}
    generator = [Case("generator", "ours", "plain", "float32", **clips)]
    return [
        ceilings + student("training", "33", 32, *ours, *torch),
        student("training", "31", 32, *ours, *torch) + generator,
        student("inference", "33", 16, *ours, "eager") + student("training", "33", 32, "lean"),
        student("training", "33", 8, *ours, *torch) + student("training", "31", 128, *ours, *torch),
        student("training", "31", 8, *ours, *torch)
        + student("inference", "31", 16, *ours, "eager"),
        # Kept for the backward pass: about 100 GB in PyTorch.
        student("training", "33", 128, *ours) + student("training", "33", 64, *ours),
    ]


def measure(cases: list[Case], processes: dict[str, Process], clock: Clock) -> dict[Case, dict]:
    """Times programs that are ready, alternately; those that fail get an `error`."""
    found: dict[Case, dict] = {case: {"times": []} for case in cases}
    counts = dict.fromkeys(cases, 1)
    # The first two rounds only warm up and say how many calls make a block.
    for number in range(2 + REPETITIONS):
        for case in cases:
            if "error" in found[case]:
                continue
            answer = processes[case.side].run(case, counts[case], clock)
            if "error" in answer:
                found[case] = {"times": found[case]["times"], "error": answer["error"]}
                continue
            each = answer["seconds"] / counts[case]
            if number < 2:
                counts[case] = max(1, min(50, round(BLOCK_S / max(each, 1e-6))))
            else:
                found[case]["times"].append(each)
    return found


def summary(case: Case, ready: dict, found: dict) -> dict:
    """A case's row of the JSON."""
    row = {**dataclasses.asdict(case), "group": case.group, "column": case.column, **ready}
    times = sorted(found["times"])
    if times:
        last = len(times) - 1
        row |= {
            "median_s": statistics.median(times),
            "low_s": times[round(0.25 * last)],
            "high_s": times[round(0.75 * last)],
            "repetitions": len(times),
        }
    if "error" in found:
        row["error"] = found["error"]
    return row


def table(rows: list[dict]) -> str:
    """Markdown: a line per group; times as median, ratios to PyTorch's best and to the floor."""
    rates = {
        row["group"]: row["work"] / row["median_s"]
        for row in rows
        if row["figure"] == "ceilings" and "median_s" in row
    }
    lines = [f"{name}: {rate / 1e12:.4g} T/s" for name, rate in rates.items()]
    columns = [f"{side} {form}" for side, forms in SIDES.items() for form in forms]
    heads = ["case", *columns, "of PyTorch's best", "times the floor", "our temporaries"]
    lines += ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    groups = dict.fromkeys(row["group"] for row in rows if row["figure"] != "ceilings")
    for group in groups:
        members = {row["column"]: row for row in rows if row["group"] == group}
        lines.append(f"| {' | '.join([group, *_cells(members, columns, rates)])} |")
    return "\n".join(lines)


def _cells(members: dict[str, dict], columns: list[str], rates: dict[str, float]) -> list[str]:
    cells, best = [], {}
    for column in columns:
        row = members.get(column, {})
        if "median_s" in row:
            loss = f", loss {row['first_loss']:.5f}" if row.get("first_loss") else ""
            cells.append(f"{1000 * row['median_s']:.4g} ms{loss}")
            side = row["side"]
            best[side] = min(best.get(side, float("inf")), row["median_s"])
        else:
            cells.append(str(row.get("error", ""))[:60])
    ratio = f"{best['ours'] / best['torch']:.2f}" if len(best) == 2 else ""
    row = members.get("ours plain", {})
    rate = rates.get(f"product, {row.get('dtype')}")
    has_floor = "ours" in best and rate and row.get("work")
    floor = f"{best['ours'] * rate / row['work']:.1f}" if has_floor else ""
    memory = f"{row['temporaries'] / 1e9:.2f} GB" if row.get("temporaries") else ""
    return [*cells, ratio, floor, memory]


def main() -> None:
    clock = Clock()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--limit_s", type=float, default=165.0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("benchmarks/gpu.json"))
    parser.add_argument("--only", nargs="*", choices=FIGURES, default=FIGURES)
    parser.add_argument("--tiny", action="store_true", help="sizes for a CPU; no figures to keep")
    options = parser.parse_args()
    clock.stop_after(options.limit_s - 3.0)
    rounds = [[c for c in cases if c.figure in options.only] for cases in plan(tiny=options.tiny)]
    processes = {side: Process(f"benchmarks.gpu_{side}") for side in SIDES}
    rows: list[dict] = []
    late: list[Case] = []
    # After the last round what is still being made has all the time that is left.
    for cases in [*filter(None, rounds), []]:
        if clock.left() <= 0:
            break
        for case in cases:
            processes[case.side].prepare(case)
        due = late + cases
        waiting = clock.shorter(PATIENCE_S if cases else clock.left())
        for case in due:
            processes[case.side].wait(case, waiting)
        late = [case for case in due if processes[case.side].ready(case) is None]
        for group in dict.fromkeys(case.group for case in due):
            members = [case for case in due if case.group == group and case not in late]
            rows += _group(members, processes, clock)
            print(f"{clock.passed():.0f} s: {group}", file=sys.stderr, flush=True)
            _write(options.out, rows, processes, clock)
        for case in due:
            if case not in late:
                processes[case.side].drop(case)
    for process in processes.values():
        process.end()
    rows += [summary(case, {"error": "not ready in time"}, {"times": []}) for case in late]
    _write(options.out, rows, processes, clock)
    print(table(rows))


def _group(members: list[Case], processes: dict[str, Process], clock: Clock) -> list[dict]:
    ready = {case: processes[case.side].ready(case) for case in members}
    found = measure([c for c in members if "error" not in ready[c]], processes, clock)
    return [summary(case, ready[case], found.get(case, {"times": []})) for case in members]


def _write(path: pathlib.Path, rows: list[dict], processes: dict[str, Process], clock: Clock):
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    metadata = {side: process.metadata for side, process in processes.items()}
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    found = {"figure": "gpu", "date": today, "commit": commit, "passed_s": clock.passed()}
    path.write_text(
        json.dumps({**found, **metadata, "table": table(rows), "rows": rows}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
