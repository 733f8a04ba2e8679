import dataclasses
import json
import pathlib
import sys

import cv2
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from experiments import camus_stills, diffecho, diffecho_pictures
from experiments import labelled_pictures as labelled
from tests.experiments import made_up_stills


@pytest.fixture
def paths(tmp_path):
    train = made_up_stills.write(tmp_path / "train.npz", 5)
    stills = made_up_stills.write(tmp_path / "stills.npz", 3, seed=1, prefix="judged")
    return [str(train), str(stills), str(tmp_path / "work")]


def call(monkeypatch, paths, *options):
    monkeypatch.setattr(sys, "argv", ["diffecho", *paths, "--smoke", *options])
    diffecho.main()


def refused(monkeypatch, capsys, paths, *options):
    with pytest.raises(SystemExit):
        call(monkeypatch, paths, *options)
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_from_pictures_to_tables_and_nothing_is_done_twice(paths, monkeypatch, capsys):
    work = pathlib.Path(paths[2])
    call(monkeypatch, paths, "--seeds=2")
    printed = capsys.readouterr().out
    assert printed == (work / "tables.md").read_text()
    lines = [line.split("|")[1:-1] for line in printed.splitlines() if line.startswith("|")]
    assert [len(line) for line in lines] == [7] * 5 + [3] * 5
    assert lines[0][1].strip() == "LV ED"
    assert [line[0].strip() for line in lines[2:5]] == ["real", "generated", "both"]
    content = json.loads((work / "tables.json").read_text())
    runs = content["segmentation"]["both"]
    mean = sum(run["lv/ES"] for run in runs) / 2
    assert f"{mean:.3f} ±" in lines[4][2]
    assert content["settings"]["count"] == 3
    assert cv2.imread(str(work / "pictures.png")).shape == (2 * 3 * 32, 2 * 3 * 32, 3)
    made = camus_stills.read_stills(work / "generated.npz")
    assert made.frames.shape == (3, 32, 32)
    assert set(made.masks) == set(labelled.STRUCTURES)

    # Again: nothing is written anew but the tables. One file less: that one alone is.
    gone = work / "judged" / "phase-both-1.json"
    times = {path: path.stat().st_mtime_ns for path in work.rglob("*.*") if path.is_file()}
    before = gone.read_bytes()
    gone.unlink()
    call(monkeypatch, paths, "--seeds=2")
    anew = {path.name for path, time in times.items() if path.stat().st_mtime_ns != time}
    assert anew == {gone.name, "tables.md", "tables.json"}
    assert gone.read_bytes() == before
    assert capsys.readouterr().out == printed

    text = refused(monkeypatch, capsys, paths, "--steps=4")
    assert "was begun with steps=3, not 4; name another folder" in text


def test_what_does_not_fit_is_one_line(paths, tmp_path, monkeypatch, capsys):
    train, stills, work = paths
    assert "--patients=9: expected 1 to 5" in refused(monkeypatch, capsys, paths, "--patients=9")
    text = refused(monkeypatch, capsys, paths, "--sampling_steps=1")
    assert "--sampling_steps=1: expected 2 or more" in text
    text = refused(monkeypatch, capsys, [train, train, work])
    assert "made0000 is in" in text
    text = refused(monkeypatch, capsys, [str(tmp_path / "none.npz"), stills, work])
    assert text.endswith("none.npz: no such file")
    content = made_up_stills.arrays(1)
    np.savez(tmp_path / "short.npz", **{k: v for k, v in content.items() if k != "atrium"})
    text = refused(monkeypatch, capsys, [train, str(tmp_path / "short.npz"), work])
    assert "short.npz: has no outlines of 'la'" in text
    odd = {k: v[:, :30] if v.ndim == 3 else v for k, v in content.items()}
    np.savez(tmp_path / "odd.npz", **odd)
    text = refused(monkeypatch, capsys, [train, str(tmp_path / "odd.npz"), work])
    assert "pictures of 30 x 32; expected multiples of 16" in text
    assert not pathlib.Path(work).exists()


def test_the_patients_that_are_left_are_whole_and_the_seed_says_who(tmp_path):
    stills = diffecho.read(made_up_stills.write(tmp_path / "train.npz", 9))
    some = [diffecho.some_patients(stills, 4, seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(some[0], some[1])
    assert not np.array_equal(some[0], some[2])
    assert len(some[0]) == 8
    assert len(np.unique(stills.patient[some[0]])) == 4
    assert len(diffecho.some_patients(stills, 0, 0)) == 18


def test_a_folder_that_was_begun_is_of_its_settings(tmp_path):
    settings = dataclasses.asdict(diffecho.SMOKE)
    diffecho.begin(tmp_path, settings)
    diffecho.begin(tmp_path, settings)
    with pytest.raises(UserError, match="was begun with seed=0, not 1"):
        diffecho.begin(tmp_path, settings | {"seed": 1})


def test_a_line_of_a_table_is_mean_and_deviation_over_seeds():
    runs = [{"accuracy": 0.5, "auc": 0.6}, {"accuracy": 0.7, "auc": 0.6}]
    assert diffecho.table({"real": runs}).splitlines() == [
        "| trained on | accuracy | AUC |",
        "|---|---|---|",
        "| real | 0.600 ± 0.141 | 0.600 ± 0.000 |",
    ]


def test_written_pictures_are_read_as_they_were(tmp_path):
    pictures = labelled.of_stills(diffecho.read(made_up_stills.write(tmp_path / "a.npz", 2)))
    diffecho_pictures.save_pictures(tmp_path / "b.npz", pictures, np.arange(4), 7)
    again = labelled.of_stills(diffecho.read(tmp_path / "b.npz"))
    for one, other in zip(pictures, again):
        np.testing.assert_array_equal(one, other)
    with np.load(tmp_path / "b.npz") as content:
        assert content["seed"] == 7
