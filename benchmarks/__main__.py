"""All figures, one after another, and their table: `python -m benchmarks [--versus torch]`.

Writes `benchmarks/RESULTS.md` and `benchmarks/results.json`. Leave the machine alone meanwhile.
"""

import argparse
import json
import pathlib
import subprocess
import sys

from benchmarks.table import table

FOLDER = pathlib.Path(__file__).parent
FIGURES = (
    "train_step",
    "inference",
    "streaming",
    "input_pipeline",
    "labelling",
    "generator",
    "start_up",
    "growth",
)
VERSUS_TORCH = ("train_step", "inference")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--versus", choices=("", "torch"), default="")
    parser.add_argument("--only", nargs="*", choices=FIGURES, default=FIGURES)
    options = parser.parse_args()
    path = FOLDER / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for figure in options.only:
        print(f"{figure} ...", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{figure}"]
        if options.versus and figure in VERSUS_TORCH:
            command.append(f"--versus={options.versus}")
        done = subprocess.run(command, cwd=FOLDER.parent, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"benchmarks.{figure} failed with status {done.returncode}")
        results[figure] = json.loads(done.stdout.splitlines()[-1])
        path.write_text(json.dumps(results, indent=1) + "\n")
    (FOLDER / "RESULTS.md").write_text(table(results))
    print(table(results))


if __name__ == "__main__":
    main()
