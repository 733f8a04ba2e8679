import math

import numpy as np
import pytest

from echodfkd_jax.evaluation import subsets


def clips(**columns):
    count = len(next(iter(columns.values())))
    names = {"ef": "ef/recorded", "contrast": "border_contrast/reference"}
    return [
        {names.get(key, key): float(values[i]) for key, values in columns.items()}
        | {"dice/student_vs_reference": 0.8 + 0.01 * i, "dice/student_vs_teacher": 0.5}
        for i in range(count)
    ]


def chosen(found):
    return {subset.name: np.flatnonzero(subset.clips).tolist() for subset in found}


def test_edges_belong_to_the_upper_one_and_a_clip_alone_is_no_subset():
    found = chosen(subsets.find(clips(ef=[39.9, 20, 40, 49.9, 50, math.nan])))
    assert found == {
        "all": [0, 1, 2, 3, 4, 5],
        "EF recorded below 40 %": [0, 1],
        "EF recorded 40 to 50 %": [2, 3],
    }


def test_frame_rates():
    found = chosen(subsets.find(clips(fps=[20, 25, 30, 54, 55, 80])))
    assert list(found.values())[1:] == [[0, 1], [2, 3], [4, 5]]


def test_windows_are_thirds_by_contrast():
    found = chosen(subsets.find(clips(contrast=[5, 50, 7, 20, 60, 25, math.nan])))
    assert [found[name] for name in found if name.startswith("window")] == [[0, 2], [3, 5], [1, 4]]


def test_too_few_windows_are_not_divided():
    assert len(subsets.find(clips(contrast=[5, 50, 7, 20, 60]))) == 1


def test_the_table_has_the_means_of_what_is_known_against_the_reference_first():
    some = clips(ef=[30, 30, 60, 60])
    assert subsets.metrics_of(some) == [("Dice, reference", "dice/student_vs_reference", 3)]
    names, rows = subsets.table(some, num_samples=50)
    assert names == ["all", "EF recorded below 40 %", "EF recorded 50 or more %"]
    values = {name: row[0]["value"] for name, row in zip(names, rows)}
    assert values["EF recorded below 40 %"] == pytest.approx(0.805)
    assert values["EF recorded 50 or more %"] == pytest.approx(0.825)
    assert [row[0]["count"] for row in rows] == [4, 2, 2]
