import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import feature_distances
from tests.synthesis.diffusion.golden import arrays, facts

GOLDEN, FACTS = arrays("metrics"), facts("metrics")


@pytest.mark.parametrize(("published", "divisor"), [(False, "n_minus_1"), (True, "n")])
@pytest.mark.parametrize("name", FACTS["frechet"])
def test_recorded_distances_by_their_terms(name, published, divisor):
    pair = GOLDEN[f"frechet_{name}_a"], GOLDEN[f"frechet_{name}_b"]
    found = feature_distances.frechet(*pair, published=published)
    wanted = FACTS["frechet"][name][divisor]
    terms = [wanted[term] for term in ("mean_term", "trace_a", "trace_b", "trace_sqrt")]
    np.testing.assert_allclose(found, terms, rtol=1e-9, atol=1e-12)
    assert found.distance == pytest.approx(wanted["distance"], rel=1e-9, abs=1e-10)
    turned = feature_distances.frechet(*pair[::-1], published=published)
    assert turned.distance == pytest.approx(found.distance, rel=1e-9, abs=1e-10)


def test_distance_of_far_more_features_than_rows():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(5, 4000))
    assert feature_distances.frechet(rows, rows).distance == pytest.approx(0, abs=1e-9)
    moved = feature_distances.frechet(rows, rows + 3.0 / np.sqrt(4000))
    assert moved.distance == pytest.approx(9, rel=1e-9)


def test_distance_of_one_dimensional_normals_literally():
    # Means 0 and 3, population deviations 1 and 2: 9 + 1 + 4 - 2 * 2.
    pair = np.array([[-1.0], [1.0]]), np.array([[1.0], [5.0]])
    found = feature_distances.frechet(*pair, published=True)
    assert found.distance == pytest.approx(10)


@pytest.mark.parametrize("case", FACTS["inception_score"], ids=lambda case: f"{case['splits']}")
def test_recorded_inception_scores(case):
    found = feature_distances.inception_score(GOLDEN["is_logits"], case["splits"])
    np.testing.assert_allclose(found, [case["mean"], case["std"]], rtol=1e-6, atol=1e-9)


def test_inception_score_literally():
    sure = 1000.0 * np.eye(4)
    assert feature_distances.inception_score(sure, 1)[0] == pytest.approx(4)
    assert feature_distances.inception_score(np.zeros((4, 4)), 2) == pytest.approx((1, 0))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.zeros((1, 2)), np.zeros((3, 2)), "a Frechet distance of 1 clips: expected 2 or more"),
        (np.zeros((3, 2)), np.zeros((3, 4)), "features of 2 and of 4 numbers"),
        (np.zeros((3, 2)), np.array([[0, 0], [0, np.inf]]), "row 1 are not finite"),
    ],
)
def test_features_that_have_no_distance(first, second, message):
    with pytest.raises(UserError, match=message):
        feature_distances.frechet(first, second)


def test_more_parts_than_pictures():
    with pytest.raises(UserError, match="of 3 pictures in 10 parts: expected 1 to 3"):
        feature_distances.inception_score(np.zeros((3, 2)))
