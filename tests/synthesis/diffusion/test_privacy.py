import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.synthesis.diffusion import privacy
from tests.synthesis.diffusion.golden import arrays, facts

GOLDEN, FACTS = arrays("privacy_rule"), facts("privacy_rule")
SETS = tuple(GOLDEN[name] for name in ("synthetic", "train", "test"))


def test_correlations():
    synthetic, train, test = SETS
    for name, pair in (
        ("corr_train_test", (train, test)),
        ("corr_synthetic_train", (synthetic, train)),
    ):
        np.testing.assert_allclose(privacy.correlations(*pair), GOLDEN[name], atol=1e-6)


def test_rule_on_the_recorded_embeddings():
    found = privacy.filter_clips(*SETS)
    assert found.threshold == pytest.approx(FACTS["tau_95"], abs=1e-6)
    np.testing.assert_allclose(found.correlation, FACTS["max_corr_per_synthetic"], atol=1e-6)
    np.testing.assert_array_equal(found.nearest, FACTS["nearest_train"])
    assert list(np.flatnonzero(found.kept)) == FACTS["kept"]
    assert list(np.flatnonzero(~found.kept)) == FACTS["rejected"]
    assert found.memorisation_rate == FACTS["memorisation_rate"]


def test_another_percentile():
    found = privacy.filter_clips(*SETS, percentile=90.0)
    assert found.threshold == pytest.approx(FACTS["tau_90"], abs=1e-6)
    assert list(np.flatnonzero(found.kept)) == FACTS["kept_tau_90"]


def test_a_copy_of_a_held_out_clip_is_kept_and_one_of_a_training_clip_is_not():
    _, train, test = SETS
    found = privacy.filter_clips(np.stack([test[0], train[7], train[7] * 2 + 1]), train, test)
    # Row 7 resembles a held-out clip, but is itself one that was learnt from.
    np.testing.assert_array_equal(found.kept, [True, False, False])
    np.testing.assert_array_equal(found.nearest[1:], [7, 7])


def test_as_much_as_the_threshold_is_rejected():
    train = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    held_out = np.array([[0.0, 0.0, 1.0]])
    found = privacy.filter_clips(held_out, train, held_out)
    assert found.correlation[0] == found.threshold
    assert not found.kept[0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((2, 128)), "row 0 is constant or not finite"),
        (np.full((1, 128), np.nan), "row 0 is constant or not finite"),
        (np.zeros((0, 128)), "no embeddings: expected one clip or more"),
        (np.ones((2, 3)), "embeddings of 3 and of 128 numbers"),
    ],
)
def test_embeddings_that_cannot_be_compared(rows, message):
    with pytest.raises(UserError, match=message):
        privacy.filter_clips(rows, *SETS[1:])


def test_a_percentile_that_cannot_be():
    with pytest.raises(UserError, match="percentile 101: expected 0 to 100"):
        privacy.threshold_of(*SETS[1:], percentile=101.0)
