"""`--stage=report` with `config.report.compare`: students side by side, on one page.

Reads the evaluations in the folders that are named; writes `config.workdir`/comparison/:

    index.html        the page, which needs no other file and no network, and its figures as PNG
    comparison.json   every number, its difference to the first student's, and the intervals
    comparison.csv    the same as a table, with those of subsets
"""

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

import ml_collections
from etils import epath

from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import files
from echodfkd_jax.evaluation.comparison import Candidate, Compared, Comparison
from echodfkd_jax.files import path_of, write_json, write_text
from echodfkd_jax.reporting import html
from echodfkd_jax.reporting.comparisons import comparison_view
from echodfkd_jax.reporting.figures import FigureFolder
from echodfkd_jax.settings import ReportSettings

# Changes whenever the same input gives another page.
VERSION = 1
_FIELD = "config.report.compare"


def run(config: ml_collections.ConfigDict, settings: ReportSettings) -> None:
    """Compares the students unless that is done; prints where the page is.

    Raises:
        UserError: a folder has no evaluation, one is damaged, or no two are of the same clips.
    """
    found = [folder for place in settings.compare for folder in _evaluations(str(path_of(place)))]
    target = path_of(config.workdir) / "comparison" / "index.html"
    fingerprint = _fingerprint(found, settings)
    if html.fingerprint_of(target) == fingerprint:
        print(f"comparison is up to date: {target}")
        return
    comparisons = [
        Comparison(some, num_samples=config.eval.bootstrap_samples, seed=config.eval.seed)
        for some in _of_the_same_clips([_candidate(folder) for folder in found])
    ]
    if not comparisons:
        raise UserError(
            f"{_FIELD}={settings.compare}: no two of their evaluations are of the same clips; "
            "evaluate all of them with the same config.eval.clips_dir, or on one data set"
        )
    save = FigureFolder(target.parent)
    view = html.ComparisonView(
        title="echodfkd_jax: " + ", ".join(path_of(place).name for place in settings.compare),
        fingerprint=fingerprint,
        sections=[
            comparison_view(save, one, number=number, num_clips=3 * settings.num_clips)
            for number, one in enumerate(comparisons)
        ],
    )
    write_json(target.parent / "comparison.json", [one.to_json() for one in comparisons])
    write_text(target.parent / "comparison.csv", _table(comparisons))
    write_text(target, html.render(view))
    print(f"comparison: {target}")


def _evaluations(place: str) -> list[epath.Path]:
    """The folders of evaluations: of a run, or the one that is named.

    Raises:
        UserError: there is none.
    """
    folder = path_of(place)
    if (folder / files.METRICS_FILE).is_file():
        return [folder]
    found = files.all_folders(folder)
    if not found:
        raise UserError(
            f"{_FIELD}: {place} is no evaluation and no run that was evaluated; run "
            "--stage=evaluate there first, or name another folder"
        )
    return found


def _candidate(folder: epath.Path) -> Candidate:
    metrics = files.read_metrics(folder)
    # <run>/evaluation/<name>; runs are told apart by their names where these differ.
    return Candidate(f"{folder.parent.parent.name}/{folder.name}", str(folder), metrics)


def _of_the_same_clips(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """Two or more that were evaluated on the same clips, in the order in which they are named."""
    groups: dict[Any, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.clips, []).append(candidate)
    return [_named(some) for some in groups.values() if len(some) > 1]


def _named(some: Sequence[Candidate]) -> list[Candidate]:
    """With labels as short as they can be: the run's name, or the evaluation's."""
    for part in (0, 1):
        labels = [candidate.label.split("/")[part] for candidate in some]
        if len(set(labels)) == len(some):
            break
    else:
        labels = [candidate.label for candidate in some]
    if len(set(labels)) < len(some):
        labels = [f"{number}: {label}" for number, label in enumerate(labels, 1)]
    return [Candidate(label, one.directory, one.metrics) for label, one in zip(labels, some)]


def _fingerprint(found: Sequence[epath.Path], settings: ReportSettings) -> str:
    digest = hashlib.sha256(f"{VERSION} {settings} ".encode())
    digest.update(html.templates_digest())
    for folder in found:
        digest.update(f"{folder} ".encode())
        digest.update((folder / files.METRICS_FILE).read_bytes())
    return digest.hexdigest()[:16]


def _table(comparisons: Sequence[Comparison]) -> str:
    """A line for each number of each student."""
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    columns = ("value", "low", "high")
    writer.writerow(
        ["clips", "subset", "section", "metric", "student", "count", *columns]
        + [f"difference_{name}" for name in columns]
    )
    for one in comparisons:
        for subset, row in _rows(one):
            for number, candidate in enumerate(one.candidates):
                value = row.values[number]
                cells = [value["value"], *value["ci95"]]
                apart = row.differences[number - 1] if number else None
                cells += [apart["value"], *apart["ci95"]] if apart else [None] * 3
                writer.writerow(
                    [one.candidates[0].metrics["name"], subset, row.section, row.metric]
                    + [candidate.label, value["count"]]
                    + ["" if cell is None or cell != cell else f"{cell:.6g}" for cell in cells]
                )
    return table.getvalue()


def _rows(comparison: Comparison) -> Iterator[tuple[str, Compared]]:
    yield from (("all", row) for row in comparison.everything())
    for subset, rows in comparison.subsets():
        if subset.name != "all":
            yield from ((subset.name, row) for row in rows if row.values[0]["count"])
