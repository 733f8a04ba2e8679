import pathlib
import re

import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.jobs import evaluate, report
from tests.datasets import stand_ins
from tests.jobs import made_up_run

# A clip can have any name that a file system allows.
NAMES = ("<script>alert(1)<", 'b" onerror="x', "c&d")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    made = made_up_run.config(tmp_path_factory.mktemp("report") / "run")
    made_up_run.save_run(made)
    made.eval.clips_dir = str(
        made_up_run.save_clips(pathlib.Path(made.workdir).parent / "<b>my clips", NAMES)
    )
    with pytest.MonkeyPatch.context() as patch:
        stand_ins.use(patch, stand_ins.CountingTeacher())
        evaluate.run(made)
    report.run(made)
    return made


@pytest.fixture
def page(config):
    return (pathlib.Path(config.workdir) / "report" / "index.html").read_text()


def test_names_are_escaped(page):
    assert "<script" not in page
    assert "<b>my" not in page
    assert "&lt;script&gt;alert(1)&lt;" in page
    assert 'onerror="' not in page


def test_every_clip_is_shown_with_an_animation_and_a_curve(page):
    assert len(re.findall(r"<video ", page)) == 3
    assert [rank in page for rank in (">best<", ">median<", ">worst<")] == [True] * 3


def test_numbers_have_intervals_and_counts(page):
    row = re.search(r"<td>Dice, against the teacher</td>(.*)</tr>", page).group(1)
    cells = re.findall(r"<td>(.*?)</td>", row)
    assert re.fullmatch(r"0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", cells[0])
    assert cells[-1] == "3"


def test_both_protocols_are_there(page):
    assert "Protocol of EchoDFKD" in page
    assert "Protocol of EchoNet-Dynamic" in page


def test_what_was_run_is_told(page):
    assert re.search(r"convlstm \(blocks=1, .*filters=2, .*layers=1, .*subsampling=8", page)
    assert "step 3 (best)" in page
    assert "&#34;seed&#34;: 0" in page


def test_a_rule_that_stands_for_missing_phases_is_told(page):
    assert "For 3 clips nobody named end-diastole and end-systole" in page


def test_figures_are_files_too(config):
    folder = pathlib.Path(config.workdir) / "report"
    names = {path.name for path in folder.glob("*.png")}
    assert "loss.png" in names
    assert sum(bool(re.search(r"_\d{3}_area\.png$", name)) for name in names) == 3
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_again_is_not_drawn_again(config, capsys):
    path = pathlib.Path(config.workdir) / "report" / "index.html"
    before = path.stat().st_mtime_ns
    report.run(config)
    assert "up to date" in capsys.readouterr().out
    assert path.stat().st_mtime_ns == before


def test_a_run_that_was_not_evaluated_has_a_report(tmp_path):
    made = made_up_run.config(tmp_path / "run")
    made_up_run.save_run(made)
    report.run(made)
    text = (tmp_path / "run" / "report" / "index.html").read_text()
    assert "has not been evaluated yet" in text


def test_without_a_run_the_way_out_is_named(tmp_path):
    with pytest.raises(UserError, match="run --stage=train first"):
        report.run(made_up_run.config(tmp_path / "run"))


def test_new_numbers_are_drawn(tmp_path, capsys):
    made = made_up_run.config(tmp_path / "run")
    made_up_run.save_run(made)
    report.run(made)
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "epoch": 3, "time_s": 3.0, "train/loss": 0.1}\n')
    report.run(made)
    assert "up to date" not in capsys.readouterr().out
