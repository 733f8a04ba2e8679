import dataclasses

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.teachers import load_teacher
from echodfkd_jax.teachers.base import FrameTeacher, Teacher
from echodfkd_jax.teachers.ensemble import combine, weighted_mean
from echodfkd_jax.types import Clip

FRAMES = np.zeros((1, 1, 2), np.uint8)


@dataclasses.dataclass(frozen=True)
class Constant(FrameTeacher):
    """Says the same of every pixel."""

    probability: float
    name: str = "constant"

    @property
    def fingerprint(self) -> str:
        return f"constant-{self.probability}"

    def __call__(self, frames):
        return jnp.full((*frames.shape, 1), self.probability, jnp.float32)

    def apply_fn(self, frames):
        return jnp.full((*frames.shape, 1), self.probability, jnp.float32)


def clip(name: str = "a") -> Clip:
    return Clip(
        name=name,
        frames=FRAMES,
        fps=50.0,
        ef_percent=float("nan"),
        edv_ml=float("nan"),
        esv_ml=float("nan"),
        ed_frame=-1,
        es_frame=-1,
        reference_frames=np.zeros(0, np.int32),
        reference_masks=np.zeros((0, 1, 2), bool),
    )


def test_is_a_teacher():
    assert isinstance(combine([Constant(0.5)]), Teacher)


def test_mean_of_probabilities():
    ensemble = combine([Constant(0.2), Constant(0.6)])
    np.testing.assert_allclose(ensemble(FRAMES), np.full((1, 1, 2), 0.4), rtol=1e-6)


def test_weighted_mean_of_probabilities():
    ensemble = combine([Constant(0.2), Constant(0.6)], member_weights=[1, 3])
    np.testing.assert_allclose(ensemble(FRAMES), np.full((1, 1, 2), 0.5), rtol=1e-6)


def test_mean_of_logits():
    # Odds 1 and 9: their geometric mean is 3, a probability of 0.75.
    ensemble = combine([Constant(0.5), Constant(0.9)], mean="logits")
    np.testing.assert_allclose(ensemble(FRAMES), np.full((1, 1, 2), 0.75), rtol=1e-6)


def test_members_that_are_certain_stay_certain_on_disk():
    votes = [np.array([[[0.0, 1.0]]], np.float32)] * 2
    mean = weighted_mean(votes, (0.5, 0.5), "logits")
    np.testing.assert_array_equal(np.rint(255 * mean), [[[0, 255]]])


@pytest.mark.parametrize("mean", ["probabilities", "logits"])
def test_apply_fn_gives_the_same_under_jit(mean):
    ensemble = combine([Constant(0.3), Constant(0.9)], member_weights=(2, 1), mean=mean)
    compiled = jax.jit(ensemble.apply_fn)(jnp.zeros((1, 1, 2)))
    np.testing.assert_allclose(compiled, ensemble(FRAMES), rtol=1e-5)


def test_member_that_knows_the_clip_is_asked_by_its_name(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[[0, 255]]], np.uint8))
    precomputed = load_teacher("precomputed", weights=str(tmp_path))
    ensemble = combine([precomputed, Constant(0.2)])
    # Means 0.1 and 0.6 of 255.
    np.testing.assert_array_equal(ensemble.label(clip("a"))[..., 0], [[[26, 153]]])


def test_is_one_line_in_a_config(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[[0, 255]]], np.uint8))
    member = {"name": "precomputed", "weights": str(tmp_path)}
    config = ml_collections.ConfigDict({"teacher": {"name": "unet", "weights": ""}})
    config.teacher = {"name": "ensemble", "members": [member, member]}
    ensemble = load_teacher(**config.teacher)
    assert ensemble.name == "ensemble"
    assert [member.name for member in ensemble.members] == ["precomputed", "precomputed"]
    assert ensemble.weights == (0.5, 0.5)


def test_fingerprint_follows_members_weights_and_mean():
    members = [Constant(0.2), Constant(0.6)]
    ensembles = [
        combine(members),
        combine(members[::-1]),
        combine(members, member_weights=[1, 2]),
        combine(members, mean="logits"),
    ]
    assert len({ensemble.fingerprint for ensemble in ensembles}) == 4
    assert combine(members, member_weights=[5, 5]).fingerprint == ensembles[0].fingerprint


def test_needs_members():
    with pytest.raises(UserError, match=r"config\.teacher\.members is empty"):
        load_teacher("ensemble")


def test_number_of_weights_must_fit():
    with pytest.raises(UserError, match="has 3 numbers for 2 members"):
        combine([Constant(0.2), Constant(0.6)], member_weights=[1, 2, 3])


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan")])
def test_weights_must_be_positive(weight):
    with pytest.raises(UserError, match="expected positive numbers"):
        combine([Constant(0.2), Constant(0.6)], member_weights=[1, weight])


def test_unknown_mean_is_refused():
    with pytest.raises(UserError, match="expected one of probabilities, logits"):
        combine([Constant(0.2)], mean="median")


def test_unknown_option_is_refused_by_name():
    with pytest.raises(UserError, match=r"config\.teacher\.wieghts is no option of teacher"):
        load_teacher("ensemble", wieghts=[1])
