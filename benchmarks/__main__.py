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
    "batches",
    "growth",
)
# Written by `benchmarks.gpu` and `benchmarks.tpu`, where there is a GPU or the TPU's compiler.
APART = ("gpu", "tpu")
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
    text = table(results) + "".join(_measured_apart(name) for name in APART)
    (FOLDER / "RESULTS.md").write_text(text)
    print(text)


def _measured_apart(name: str) -> str:
    """A section of what another machine or environment wrote; nothing where it has not."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return ""
    found = json.loads(path.read_text())
    where = found.get("ours", {})
    device, jax = where.get("device", "the TPU's compiler"), where.get("jax", found.get("jax"))
    source = f"{device}, {found['date']}, commit {found['commit']}, JAX {jax}."
    return f"\n## {name}\n\n{source}\n\n{found['table']}\n"


if __name__ == "__main__":
    main()
