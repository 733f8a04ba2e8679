import math

import numpy as np
import pytest

from echodfkd_jax.evaluation import summary
from echodfkd_jax.evaluation.evaluator import ScoredClip
from echodfkd_jax.evaluation.measures import Measures
from echodfkd_jax.measurement.measures import KINDS
from echodfkd_jax.types import Clip, NamedMasks
from tests.measurement.drawn_hearts import Bullet, draw, draw_box

FRAMES = 40
STRENGTHS = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAMES) / 16)) ** 1.5


def beating(excursion, structures=("lv", "la")):
    """Masks (t, h, w, s) of a heart whose base moves by so much."""
    drawn = {"lv": [], "la": []}
    for strength in STRENGTHS:
        shape = Bullet(14 - 4 * strength, 24, 28, excursion * strength)
        drawn["lv"].append(draw(shape))
        drawn["la"].append(draw_box(12 + 8 * strength, 10))
    return np.stack([np.stack(drawn[name]) for name in structures], axis=-1)


def scored(masks, reference, known, structures=("lv", "la"), **about):
    made = Clip(
        name="clip",
        frames=np.zeros((FRAMES, 112, 112), np.uint8),
        fps=50.0,
        ef_percent=math.nan,
        edv_ml=math.nan,
        esv_ml=math.nan,
        ed_frame=about.get("ed", 16),
        es_frame=about.get("es", 24),
        reference_frames=np.array(known, np.int64),
        reference_masks=reference[known] > 127,
        reference_structures=("lv", "la"),
    )
    return ScoredClip(made, {"student": NamedMasks(masks, structures)})


@pytest.fixture(scope="module")
def heart():
    return beating(8.0)


@pytest.fixture(scope="module")
def weaker():
    return beating(5.0)


def test_student_and_exact_reference_are_measured_over_their_beats(heart, weaker):
    found = Measures().clip(scored(weaker, heart, list(range(FRAMES))))
    assert found["measures/mitral_excursion/reference"] == pytest.approx(8, abs=0.4)
    assert found["measures/mitral_excursion/student"] == pytest.approx(5, abs=0.4)
    assert found["measures/la_emptying/student"] == pytest.approx(40, abs=2)
    assert found["measures/lv_ef_disks/student"] < found["measures/lv_ef_disks/reference"]
    # Of what the student does not outline nothing is said.
    assert not [name for name in found if "rv_" in name or "wall" in name]


def test_a_reference_at_two_frames_is_compared_at_these(heart, weaker):
    found = Measures().clip(scored(weaker, heart, [24, 16]))
    assert found["measures/mitral_excursion/reference"] == pytest.approx(8, abs=0.4)
    assert found["measures/mitral_excursion/student"] == pytest.approx(5, abs=0.4)


def test_without_a_reference_the_student_is_measured_alone(heart):
    found = Measures().clip(scored(heart, heart, []))
    assert found["measures/lv_strain/student"] < -5
    assert not [name for name in found if name.endswith("reference")]


def test_a_cavity_alone_has_its_own_measures(heart):
    found = Measures().clip(scored(heart[..., :1], heart, list(range(FRAMES)), ("lv",)))
    names = [name for name, kind in KINDS.items() if kind.structure == "lv"]
    assert set(found) == {f"measures/{n}/{m}" for n in names for m in ("student", "reference")}
    for name in names:
        student, exact = (found[f"measures/{name}/{m}"] for m in ("student", "reference"))
        assert student == pytest.approx(exact, rel=0.04, abs=0.5), name


def test_agreement_is_bias_with_its_limits():
    clips = [{"a": 1.0, "b": 2.0}, {"a": 5.0, "b": 4.0}, {"a": 9.0, "b": 6.0}, {"a": math.nan}]
    found = summary.agree(clips, {"a_vs_b": ("a", "b"), "a_vs_c": ("a", "c")})
    assert list(found) == ["a_vs_b"]
    assert (found["a_vs_b"]["value"], found["a_vs_b"]["count"]) == (1.0, 3)
    assert found["a_vs_b"]["interval"] == pytest.approx((1 - 1.96 * 2, 1 + 1.96 * 2))


def test_over_clips_there_are_correlation_and_agreement():
    clips = [
        {"measures/lv_strain/student": x + 1.0, "measures/lv_strain/reference": x}
        for x in (-20.0, -10.0, -15.0)
    ]
    found = Measures().summarise(clips, models=["student"], num_samples=20, seed=0)
    name = "measures/lv_strain/student_vs_reference"
    assert found["correlation"][name]["value"] == pytest.approx(1)
    assert found["agreement"][name]["value"] == pytest.approx(1)
    assert found["agreement"][name]["interval"] == pytest.approx((1, 1))
    assert len(found["agreement"]) == 1
