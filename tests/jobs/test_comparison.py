import csv
import json
import math
import pathlib
import re

import numpy as np
import pytest

from configs import synthetic
from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import files
from echodfkd_jax.jobs import comparison, report
from echodfkd_jax.reporting import html

# A clip can have any name that a file system allows.
NAMES = ("<script>a", 'b" onerror="x', "c&d", "e", "f", "g")
DICE = {"small": (0.7, 0.8, 0.9, 0.6, 0.75, 0.85), "large": (0.72, 0.8, 0.91, 0.9, 0.76, 0.85)}
SIZES = {"small": 40_000, "large": 700_000}


def write_evaluation(run, label, name="test", clips=NAMES):
    """What an evaluation leaves: as much of it as a comparison reads."""
    folder = files.folder(run, name)
    per_clip = [
        {"name": clip, "num_frames": 8, "fps": 50.0, "ed_frame": 0, "es_frame": 4}
        | {"dice/student_vs_reference": dice, "ef/recorded": 20.0 + 10 * number}
        | {"ef_disks/student": 30.0 + 8 * number - 20 * (1 - dice)}
        for number, (clip, dice) in enumerate(zip(clips, DICE[label]))
    ]
    metrics = {
        "name": name,
        "data": {"directory": "data", "split": "test"},
        "inputs": {"data": "1234", "refined": True},
        "models": {"student": f"student-{label}"},
        "num_weights": SIZES[label],
        "checkpoint_step": 10,
        "checkpoint": "best",
        "structures": ["lv"],
        "ranked_by": "dice/student_vs_reference",
        "mean": {"dice/student_vs_reference": 0.8},
        "correlation": {"ef_disks/student_vs_recorded": {}},
        "tables": {
            "rows": [
                ["mean", "dice/{}_vs_reference", "Dice, against the reference", 3],
                ["correlation", "ef_disks/{}_vs_recorded", "EF by disks, r", 2],
            ],
            "groups": [],
        },
        "per_clip": per_clip,
    }
    wave = 800 + 300 * np.cos(2 * math.pi * np.arange(8) / 8)
    curves = [(c["name"], {"student": wave * c["dice/student_vs_reference"]}) for c in per_clip]
    files.write_frames(folder, [(n, {**c, "reference": wave}) for n, c in curves], AREAS)
    files.write_metrics(folder, metrics)
    return folder


AREAS = ["student", "reference"]


def made_config(folder):
    made = synthetic.get_config("smoke").unlock()
    made.workdir = str(folder / "work")
    for label in DICE:
        write_evaluation(folder / label, label)
    made.report.update(num_clips=1, compare=tuple(str(folder / label) for label in DICE))
    return made


@pytest.fixture
def config(tmp_path):
    return made_config(tmp_path)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A configuration whose comparison is made."""
    made = made_config(tmp_path_factory.mktemp("compared"))
    report.run(made)
    return made


def not_drawn(monkeypatch):
    """Drawing takes seconds; gives the list of what would have been drawn."""
    nothing = html.Table("", "", [], [])
    view = html.ComparedView("", nothing, [], [], nothing, [], [], [])
    drawn = []
    monkeypatch.setattr(
        comparison, "comparison_view", lambda _, one, **__: drawn.append(one) or view
    )
    return drawn


def folder_of(config):
    return pathlib.Path(config.workdir) / "comparison"


@pytest.fixture
def page(done):
    return (folder_of(done) / "index.html").read_text()


def test_the_page_has_numbers_differences_subsets_and_curves(done, page):
    row = re.search(r"<td>Dice, against the reference</td>(.*)</tr>", page)[1]
    cells = re.findall(r"<td>(.*?)</td>", row)
    assert [cell[:5] for cell in cells] == ["0.767", "0.823", "0.057", "6"]
    assert "large - small" in page and "By subset: Dice, reference" in page
    assert re.search(r"<td>EF recorded below 40 %</td><td>0\.750 ", page)
    # The clip on which they differ most is shown first.
    assert re.findall(r"<h4>(.*?)</h4>", page) == ["e", "&lt;script&gt;a", "c&amp;d"]
    names = {path.name for path in folder_of(done).glob("*.png")}
    assert names == {"00_scores.png", "00_frontier.png"} | {f"00_00{i}_area.png" for i in range(3)}
    assert "Research software, not a medical device." in page


def test_names_are_escaped_and_nothing_is_fetched(page):
    assert "<script" not in page and "&lt;script&gt;a" in page
    addresses = re.findall(r'(?:src|srcset|href)="([^"]*)"', page)
    assert addresses and all(address.startswith("data:") for address in addresses)


def test_the_files_hold_every_number(done):
    (section,) = json.loads((folder_of(done) / "comparison.json").read_text())
    assert section["num_clips"] == 6 and section["most_different"][0] == "e"
    dice = section["numbers"][0]
    assert dice["differences"][0]["value"] == pytest.approx(0.34 / 6)
    with (folder_of(done) / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["student"] for row in rows[:2]] == ["small", "large"]
    assert rows[0]["difference_value"] == "" and float(rows[1]["difference_low"]) >= 0
    assert {"all", "EF recorded below 40 %"} <= {row["subset"] for row in rows}


def test_the_same_again_is_not_drawn_again(done, capsys):
    report.run(done)
    assert "comparison is up to date" in capsys.readouterr().out


def test_new_numbers_are_drawn(config, monkeypatch):
    drawn = not_drawn(monkeypatch)
    monkeypatch.setattr(html, "render", lambda view: view.fingerprint)
    report.run(config)
    first = (folder_of(config) / "index.html").read_text()
    folder = files.folder(pathlib.Path(config.report.compare[1]), "test")
    metrics = files.read_metrics(folder)
    metrics["per_clip"][0]["dice/student_vs_reference"] = 0.1
    files.write_metrics(folder, metrics)
    report.run(config)
    assert len(drawn) == 2 and (folder_of(config) / "index.html").read_text() != first


def test_evaluations_of_one_run_are_called_by_their_names(config, tmp_path, monkeypatch):
    folder = write_evaluation(tmp_path / "small", "large", "test_large")
    config.report.compare = (str(files.folder(tmp_path / "small", "test")), str(folder))
    drawn = not_drawn(monkeypatch)
    report.run(config)
    assert [candidate.label for candidate in drawn[0].candidates] == ["test", "test_large"]


def test_other_clips_are_not_compared(config, tmp_path):
    write_evaluation(tmp_path / "large", "large", clips=[f"other {name}" for name in NAMES])
    with pytest.raises(UserError, match="no two of their evaluations are of the same clips"):
        report.run(config)


def test_a_folder_without_an_evaluation_is_named(config, tmp_path):
    config.report.compare = (str(tmp_path / "small"), str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"nowhere is no evaluation and no run that was evaluated"):
        report.run(config)
