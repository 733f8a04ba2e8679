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
    agreement, correlation = view.groups
    assert agreement.rows[1] == [
        "measures/lv_strain/student_vs_reference",
        "1.00 [1.00, 1.00]",
        "4",
    ]
    assert correlation.rows[1][1].startswith("1.000")
