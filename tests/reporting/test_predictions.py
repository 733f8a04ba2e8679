import csv
import math

import numpy as np
import pytest

from echodfkd_jax.measurement.clip_report import report_clip
from echodfkd_jax.measurement.measures import KINDS
from echodfkd_jax.measurement.trust import Calibration, Curve, Trust
from echodfkd_jax.reporting import plots, predictions
from echodfkd_jax.types import NamedMasks
from tests.measurement.drawn_hearts import Bullet, draw

ED, ES = Bullet(16, 24, 30), Bullet(11, 24, 26, 8)
# Two beats of 16 frames, the ventricle alone.
MASKS = NamedMasks(
    np.stack([draw(ED)] * 8 + [draw(ES)] * 8 + [draw(ED)] * 8 + [draw(ES)] * 8 + [draw(ED)] * 8)[
        ..., None
    ],
    ("lv",),
)


def trusted(*agreement):
    """Outlines that are expected to have just this Dice, -/+ 0.1."""
    curve = Curve((0.0, 1.0), (0.0, 1.0), (), (-0.1,), (0.1,))
    return Trust(agreement, Calibration(curve, curve, flag_below=0.88), ("base",))


def content(spacing, trust=None):
    report = report_clip(MASKS.of("lv"), pixel_spacing_mm=spacing, trust=trust)
    assert len(report.beats) == 2
    return predictions.numbers(report, MASKS)


def test_every_measure_is_in_the_record_and_what_is_not_known_is_null():
    found = content(math.nan)["measures"]
    assert list(found) == list(KINDS)
    excursion = found["mitral_excursion"]
    assert excursion["unit"] == "px"
    assert excursion["mean"] == pytest.approx(8, abs=0.4)
    assert excursion["sd"] == 0 and len(excursion["beats"]) == 2
    assert found["la_emptying"] == {
        "unit": "percent",
        "mean": None,
        "sd": None,
        "beats": [None, None],
    }


def test_the_table_has_columns_of_what_was_measured_with_its_unit(tmp_path):
    rows = [
        {"name": "a", "status": "ok", **content(1.5)},
        {"name": "b", "status": "ok", **content(math.nan)},
        {"name": "c", "status": "no clip"},
    ]
    table = predictions.write_table(tmp_path, [predictions.flat(row) for row in rows])
    with table.open() as file:
        a, b, c = csv.DictReader(file)
    assert float(a["mitral_excursion_mm"]) == pytest.approx(12, abs=0.6)
    assert float(b["mitral_excursion_px"]) == pytest.approx(8, abs=0.4)
    assert a["mitral_excursion_px"] == b["mitral_excursion_mm"] == c["lv_strain_percent"] == ""
    assert float(b["lv_strain_percent_sd"]) == 0
    assert a["lv_strain_percent"] == b["lv_strain_percent"] != ""
    assert not [name for name in a if name.startswith(("la_", "rv_", "lv_wall"))]


def test_a_verdict_its_reasons_and_what_is_expected_are_in_record_and_table(tmp_path):
    found = content(math.nan, trusted(*[0.8] * 40))
    assert found["verdict"] == "look twice"
    assert "look at the base" in found["remarks"][0] and found["doubted"] == ["base"]
    assert found["expected_dice_of_frames"][3] == pytest.approx([0.8, 0.7, 0.9])
    rows = [{"name": "a", "status": "ok", **found}, {"name": "b", "status": "ok", **content(1.0)}]
    table = predictions.write_table(tmp_path, [predictions.flat(row) for row in rows])
    with table.open() as file:
        a, b = csv.DictReader(file)
    assert [a[f"expected_dice{end}"] for end in ("", "_low", "_high")] == ["0.8", "0.7", "0.9"]
    assert (a["verdict"], b["verdict"], b["expected_dice"]) == ("look twice", "reliable", "")


def test_the_terminal_is_told_the_verdict():
    line = predictions.summary_line("a", content(math.nan, trusted(*[0.95] * 40)))
    assert line.endswith("; reliable.")


def test_frames_with_a_bad_outline_are_told_and_shaded():
    frames = [[0.9, 0.8, 1.0], [0.84, 0.7, 0.9], [0.2, 0.0, 0.5]]
    assert predictions.doubted_frames({"expected_dice_of_frames": frames}) == [1, 2]
    assert predictions.doubted_frames({"expected_dice_of_frames": None}) == []
    area = {"student": np.array([9.0, 5.0, 8.0])}
    plain, shaded = (plots.area_curves(area, 0, 1, doubted=found) for found in ([], [1]))
    assert plain != shaded
