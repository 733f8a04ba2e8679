import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import camus_stills, diffecho_judges
from experiments import labelled_pictures as labelled
from tests.experiments import made_up_stills


def test_half_of_a_batch_of_both_is_real():
    rows = diffecho_judges.rows_from(70, 700, 4)
    assert [list(values) for values in rows["real"]] == [[0] * 4, [70] * 4]
    assert [list(values) for values in rows["generated"]] == [[70] * 4, [770] * 4]
    assert [list(values) for values in rows["both"]] == [[0, 0, 70, 70], [70, 70, 770, 770]]


def test_rows_are_drawn_from_where_they_may_be():
    frames = jnp.broadcast_to(jnp.arange(10, dtype=jnp.uint8)[:, None, None], (10, 16, 16))
    pictures = labelled.Pictures(frames, jnp.zeros_like(frames), jnp.arange(10))
    first, after = diffecho_judges.rows_from(4, 6, 64)["both"]
    rows = labelled.drawn_rows(jax.random.key(0), pictures, first, after, 64)
    assert set(np.asarray(rows.phase[:32])) == {0, 1, 2, 3}
    assert set(np.asarray(rows.phase[32:])) == {4, 5, 6, 7, 8, 9}
    np.testing.assert_allclose(rows.frames[:, 8, 8], rows.phase, atol=1e-4)


def test_area_under_the_curve():
    systole = np.array([False, False, True, True])
    assert diffecho_judges.area_under_curve(np.array([1.0, 2, 3, 4]), systole) == 1.0
    assert diffecho_judges.area_under_curve(np.array([1.0, 3, 2, 4]), systole) == 0.75
    assert diffecho_judges.area_under_curve(np.zeros(4), systole) == 0.5
    assert np.isnan(diffecho_judges.area_under_curve(np.zeros(2), np.ones(2, bool)))


@pytest.mark.slow
def test_a_network_learns_from_the_set_that_is_named(tmp_path):
    """What "generated" pictures teach is wrong here: their labels are of other structures."""
    path = made_up_stills.write(tmp_path / "train.npz", 30)
    real = labelled.of_stills(camus_stills.read_stills(path))
    swapped = jnp.asarray([0, 2, 1, 3], jnp.uint8)[real.labels]
    pictures = {"real": real, "generated": real._replace(labels=swapped)}
    path = made_up_stills.write(tmp_path / "stills.npz", 6, seed=1)
    stills = camus_stills.read_stills(path)
    judge = diffecho_judges.Judge(diffecho_judges.outlining((8, 16)), steps=100, batch=8)
    scores = {
        which: judge.score(judge.train(pictures, which, 0), stills)
        for which in ("real", "generated")
    }
    assert scores["real"]["lv/ED"] > 0.8
    assert scores["generated"]["lv/ED"] < 0.3


@pytest.mark.slow
def test_phases_are_told_by_the_size(tmp_path):
    path = made_up_stills.write(tmp_path / "train.npz", 30)
    real = labelled.of_stills(camus_stills.read_stills(path))
    stills = camus_stills.read_stills(made_up_stills.write(tmp_path / "stills.npz", 10, seed=1))
    judge = diffecho_judges.Judge(diffecho_judges.telling_phases((8, 16)), steps=100, batch=8)
    score = judge.score(judge.train({"real": real, "generated": real}, "real", 0), stills)
    assert score["auc"] > 0.9
    assert score["accuracy"] > 0.8
