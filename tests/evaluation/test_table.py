from echodfkd_jax.evaluation import table

METRICS = {
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
}


def test_rows_have_a_cell_per_model_and_the_count():
    assert table.rows(METRICS) == [
        ("Dice, against the reference", ["0.912 [0.900, 0.920]", "0.950"], "1-3"),
        ("EF by areas, r with recorded", ["0.88 [0.80, 0.90]", "-"], "3"),
    ]


def test_lines_are_aligned():
    lines = table.lines(METRICS)
    assert len(lines) == 3
    assert lines[0].index("teacher") == lines[1].index("0.950") == lines[2].index("-  ")


def test_a_correlation_without_a_value_is_no_entry():
    metrics = {"correlation": {"a": {"value": None, "ci95": [None, None], "count": 3}}}
    assert table.entry(metrics, "correlation", "a") is None
