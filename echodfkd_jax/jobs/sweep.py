"""`--stage=sweep`: students of several sizes, and how Dice grows with the number of weights.

Each size of `config.sweep.sizes` is trained and evaluated as a run of its own in
`<workdir>/sweep/<size>`; what is done is not done again. Then `<workdir>/sweep/` gets

    table.json, table.csv    a row per size: weights, Dice, the published Dice
    frontier.png             ln(1 - Dice) against ln(weights), beside the published points
"""

import csv
import io
import math
from typing import Any

import ml_collections
import numpy as np
from etils import epath

from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import files, frontier
from echodfkd_jax.files import path_of, write_bytes, write_json, write_text
from echodfkd_jax.jobs import evaluate, prepare, train
from echodfkd_jax.reporting import plots

# In the paper's protocol; human or exact masks where there are any, otherwise the teacher's.
_METRICS = ("dice/student_vs_reference", "dice/student_vs_teacher")
_PUBLISHED = "published, EchoNet-Dynamic test"


def run(config: ml_collections.ConfigDict) -> None:
    """Trains and evaluates every size that is not done, and draws the figure.

    Args:
        config: of one run; `config.model.blocks` and `config.model.layers` are those of each size.

    Raises:
        UserError: a size is unknown, the network has no sizes, or a run fails.
    """
    sizes = [str(size) for size in config.sweep.sizes]
    parsed = {size: frontier.parse_size(size) for size in sizes}
    if config.model.name != "convlstm":
        raise UserError(
            f"config.model.name={config.model.name!r} has no sizes; a sweep needs 'convlstm'"
        )
    folder = path_of(config.workdir) / "sweep"
    if config.input.source == "dataset" or not config.eval.clips_dir:
        prepare.run(config)
    rows = []
    for number, (size, (blocks, layers)) in enumerate(parsed.items(), 1):
        print(f"sweep: size {size}, {number} of {len(parsed)}", flush=True)
        one = _of_size(config, folder / size, blocks, layers)
        train.run(one)
        directory = evaluate.run(one)
        assert directory is not None  # None comes of watching alone.
        rows.append(_row(size, files.read_metrics(directory)))
        # After every size: a sweep takes days, and what there is can be looked at.
        _write(folder, rows)
    print(_text(rows))
    print(f"  figure: {folder / 'frontier.png'}")
    print(f"  table: {folder / 'table.csv'}")


def _of_size(
    config: ml_collections.ConfigDict, workdir: epath.Path, blocks: int, layers: int
) -> ml_collections.ConfigDict:
    one = ml_collections.ConfigDict(config.to_dict())
    one.workdir = str(workdir)
    one.model.update(blocks=blocks, layers=layers)
    one.eval.watch = False
    return one.lock()


def _row(size: str, metrics: dict[str, Any]) -> dict[str, Any]:
    entries = metrics.get("protocols", {}).get("paper", {})
    row = {"size": size, "weights": metrics["num_weights"]}
    for metric in _METRICS:
        entry = entries.get(metric, {})
        value = entry.get("value")
        row[metric] = math.nan if value is None else value
        row[f"clips/{metric}"] = entry.get("count", 0)
    row["dice/published"] = frontier.PUBLISHED_DICE[size]
    row["step"] = metrics["checkpoint_step"]
    row["evaluation"] = metrics["name"]
    return row


def _write(folder: epath.Path, rows: list[dict[str, Any]]) -> None:
    metric = _metric(rows)
    groups = {
        f"ours, {metric} on {rows[0]['evaluation']}": [
            (row["size"], row["weights"], row[metric]) for row in rows
        ],
        _PUBLISHED: [
            *(
                (size, frontier.num_weights(*frontier.parse_size(size)), dice)
                for size, dice in frontier.PUBLISHED_DICE.items()
            ),
        ],
    }
    points, curves, fits = {}, {}, {}
    for name, group in groups.items():
        weights = np.array([entry[1] for entry in group], np.float64)
        dice = np.array([entry[2] for entry in group], np.float64)
        log_miss = frontier.log_miss(dice)
        points[name] = [
            (float(np.log(w)), float(y), entry[0])
            for entry, w, y in zip(group, weights, log_miss)
            if not math.isnan(y)
        ]
        curve = frontier.fit(weights, dice)
        if curve is not None:
            along = np.linspace(np.log(weights.min()), np.log(weights.max()), 200)
            curves[name] = along, np.log(curve.miss(np.exp(along)))
        fits[name] = None if curve is None else vars(curve)
    teacher_weights, teacher_dice = frontier.PUBLISHED_TEACHER
    teacher = float(np.log(teacher_weights)), float(np.log(1 - teacher_dice)), "teacher"
    points[_PUBLISHED].append(teacher)

    write_json(folder / "table.json", {"metric": metric, "rows": rows, "fits": fits})
    table = io.StringIO()
    writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: "" if v != v else v for k, v in row.items()} for row in rows)
    write_text(folder / "table.csv", table.getvalue())
    write_bytes(folder / "frontier.png", plots.frontier(points, curves))


def _metric(rows: list[dict[str, Any]]) -> str:
    """The first metric that every size has."""
    for metric in _METRICS:
        if not any(math.isnan(row[metric]) for row in rows):
            return metric
    return _METRICS[0]


def _text(rows: list[dict[str, Any]]) -> str:
    metric = _metric(rows)
    lines = [f"{'size':>4} {'weights':>10} {metric:>26} {'published':>10}"]
    for row in rows:
        lines.append(
            f"{row['size']:>4} {row['weights']:>10,} {row[metric]:>26.4f} "
            f"{row['dice/published']:>10.3f}"
        )
    return "\n".join(lines)
