"""Clips through Beam; what needs it skips where apache-beam is not installed."""

import json
import sys

import pytest

from echodfkd_jax import cli
from echodfkd_jax.errors import UserError
from echodfkd_jax.prediction import archive
from echodfkd_jax.settings import PredictSettings, StudentSettings
from tests.jobs import made_up_run

BEAM = "runner=DirectRunner,direct_num_workers=2,direct_running_mode=multi_processing"


def test_beam_that_is_missing_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    predictor = archive.ShardPredictor(".", StudentSettings(), PredictSettings(), str(tmp_path))
    with pytest.raises(UserError, match=r"needs apache-beam; pip install 'echodfkd_jax\[beam\]'"):
        archive.run([], predictor, BEAM)


def test_an_option_that_beam_does_not_know_is_named(tmp_path):
    pytest.importorskip("apache_beam")
    predictor = archive.ShardPredictor(".", StudentSettings(), PredictSettings(), str(tmp_path))
    with pytest.raises(UserError, match="no option 'workers'"):
        archive.run([], predictor, "runner=DirectRunner,workers=2")


@pytest.mark.slow
def test_two_workers_make_the_same_table(tmp_path):
    pytest.importorskip("apache_beam")
    names = [f"clip{number}" for number in range(5)]
    folder = made_up_run.save_clips(tmp_path / "clips", names=names, masks=False) / "Videos"
    (folder / "none.avi").write_text("no clip")
    for output, flags in (("alone", ()), ("beam", (f"--config.predict.beam={BEAM}",))):
        command = [
            f"--config.predict.inputs={folder}",
            f"--config.predict.output={tmp_path / output}",
        ]
        small = "--config.student.weights=small"
        assert cli.main(["main.py", "predict", *command, small, *flags]) == 0
    tables = [(tmp_path / name / "predictions.csv").read_bytes() for name in ("alone", "beam")]
    assert tables[0] == tables[1]
    found = {path.name for path in (tmp_path / "alone").iterdir()}
    assert found == {path.name for path in (tmp_path / "beam").iterdir()}
    report = json.loads((tmp_path / "beam" / "run_report.json").read_text())
    # The workers did them; what they could not is not tried twice.
    assert (report["num_kept"], report["num_failed"]) == (5, 1)
