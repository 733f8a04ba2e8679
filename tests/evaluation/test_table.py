from echodfkd_jax.evaluation import table
from echodfkd_jax.evaluation.ejection_fractions import EjectionFractions
from echodfkd_jax.evaluation.overlap import Overlap
from echodfkd_jax.evaluation.protocols import Protocols

METRICS = {
    "structures": ["lv"],
    "tables": table.describe([Overlap(), EjectionFractions(), Protocols()]),
    "models": {"student": "", "teacher": ""},
    "mean": {"dice/student_vs_reference": 0.91234, "dice/teacher_vs_reference": 0.95},
    "ci95": {
        "dice/student_vs_reference": [0.9, 0.92],
        "dice/teacher_vs_reference": [None, None],
    },
    "count": {"dice/student_vs_reference": 3, "dice/teacher_vs_reference": 1},
    "correlation": {
        "ef_area/student_vs_recorded": {"value": 0.876, "ci95": [0.8, 0.9], "count": 3}
    },
    "protocols": {
        "paper": {"dice/student_vs_teacher": {"value": 0.5, "ci95": [0.4, 0.6], "count": 2}},
        "echonet": {"dice/student_vs_teacher": {"value": None, "ci95": [0.4, 0.6], "count": 2}},
    },
}


def test_rows_have_a_cell_per_model_and_the_count():
    assert table.lines(METRICS) == [
        ("Dice, against the reference", ["0.912 [0.900, 0.920]", "0.950"], "1-3"),
        ("EF by areas, r with recorded", ["0.88 [0.80, 0.90]", "-"], "3"),
    ]


def test_lines_are_aligned():
    lines = table.text(METRICS)
    assert len(lines) == 3
    assert lines[0].index("teacher") == lines[1].index("0.950") == lines[2].index("-  ")


def test_a_correlation_without_a_value_is_no_entry():
    metrics = {"correlation": {"a": {"value": None, "ci95": [None, None], "count": 3}}}
    assert table.entry(metrics, "correlation", "a") is None


def test_an_evaluators_own_tables():
    (paper, rows), (echonet, none) = table.groups(METRICS)
    assert (paper.title, echonet.title) == (
        "Protocol of EchoDFKD",
        "Protocol of EchoNet-Dynamic",
    )
    assert rows == [["dice/student_vs_teacher", "0.500 [0.400, 0.600]", "2"]]
    assert none == []


def test_every_number_over_clips():
    assert table.everything(METRICS, 2) == [
        ["dice/student_vs_reference", "0.91 [0.90, 0.92]", "3"],
        ["dice/teacher_vs_reference", "0.95", "1"],
        ["ef_area/student_vs_recorded (r)", "0.88 [0.80, 0.90]", "3"],
        ["dice/student_vs_teacher", "0.50 [0.40, 0.60]", "2"],
    ]
