from echodfkd_jax.evaluation import table
from echodfkd_jax.evaluation.measures import Measures
from echodfkd_jax.files import path_of
from echodfkd_jax.reporting.evaluations import evaluation_view
from echodfkd_jax.reporting.figures import FigureFolder


def metrics_of(*measures):
    """An evaluation of four clips whose student measures one more than the reference."""
    clips = [
        {"name": str(index), "dice/student_vs_reference": 0.9}
        | {f"measures/{name}/reference": 10.0 * index for name in measures}
        | {f"measures/{name}/student": 10.0 * index + 1 for name in measures}
        for index in range(4)
    ]
    evaluator = Measures()
    return {
        "name": "test",
        "models": {"student": "1"},
        "structures": ["lv"],
        "num_clips": 4,
        "data": {"split": "test", "directory": "."},
        "checkpoint_step": None,
        "checkpoint": "",
        "phase_frames": {},
        "ranked_by": "dice/student_vs_reference",
        "mean": {"dice/student_vs_reference": 0.9},
        "ci95": {"dice/student_vs_reference": [0.9, 0.9]},
        "count": {"dice/student_vs_reference": 4},
        "total": {},
        "per_clip": clips,
        "tables": table.describe([evaluator]),
        **evaluator.summarise(clips, models=["student"], num_samples=10, seed=0),
    }


def test_agreement_is_drawn_and_told_of_the_measures_that_there_are(tmp_path):
    names = ("lv_ef_disks", "lv_strain", "mitral_excursion")
    save = FigureFolder(path_of(tmp_path / "report"))
    view = evaluation_view(save, path_of(tmp_path), metrics_of(*names))
    for name in names:
        assert (tmp_path / "report" / f"test_agreement_{name}.png").is_file()
    assert not list((tmp_path / "report").glob("*la_emptying*"))
    _, agreement, correlation = view.groups
    assert agreement.rows[1] == [
        "measures/lv_strain/student_vs_reference",
        "1.00 [1.00, 1.00]",
        "4",
    ]
    assert correlation.rows[1][1].startswith("1.000")


def test_subsets_are_a_table_of_the_page(tmp_path):
    metrics = metrics_of()
    for clip, ef, fps in zip(metrics["per_clip"], (30, 35, 60, None), (50.0, 50.0, 20.0, 50.0)):
        clip |= {"ef/recorded": ef, "fps": fps}
    metrics["per_clip"][0]["dice/student_vs_reference"] = 0.7
    save = FigureFolder(path_of(tmp_path / "report"))
    table = evaluation_view(save, path_of(tmp_path), metrics).groups[0]
    assert table.head == ["", "Dice, reference", "clips"]
    assert [(row[0], row[1][:5], row[2]) for row in table.rows] == [
        ("all", "0.850", "4"),
        ("EF recorded below 40 %", "0.800", "2"),
        ("30 to 55 frames a second", "0.833", "3"),
    ]
