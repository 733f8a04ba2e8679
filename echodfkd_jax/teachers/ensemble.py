"""Several teachers as one: the weighted mean of their probabilities or of their logits.

config.teacher = {
    "name": "ensemble",
    "members": [{"name": "unet"}, {"name": "deeplabv3", "weights": "deeplabv3.pt"}],
    "member_weights": [1.0, 2.0],
    "mean": "logits",
}
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any, TypeVar, cast

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, UInt8

from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import Structures
from echodfkd_jax.teachers.base import FrameTeacher
from echodfkd_jax.types import Clip

# JAX or NumPy.
AnyArray = TypeVar("AnyArray", Array, np.ndarray)

MEANS = ("probabilities", "logits")
# A member's probabilities are kept this far from 0 and 1 before their logits are taken: one that
# is certain counts as a logit of 9.2, and an ensemble all of whose members are certain is still
# stored as 0 or 255.
CERTAINTY_MARGIN = 1e-4


@dataclasses.dataclass(frozen=True, eq=False)
class EnsembleTeacher(FrameTeacher):
    """The weighted mean of its members.

    Attributes:
        fingerprint: name and hash of the members' fingerprints, their weights and the mean.
        members: the teachers.
        weights: one per member, positive, summing to 1.
        mean: "probabilities" or "logits".
        name: "ensemble".
    """

    fingerprint: str
    members: tuple[FrameTeacher, ...]
    weights: tuple[float, ...]
    mean: str
    name: str = "ensemble"

    @property
    def structures(self) -> Structures:
        """What its members outline."""
        return self.members[0].structures

    def __call__(self, frames: UInt8[np.ndarray | Array, "n h w"]) -> Float32[Array, "n h w s"]:
        """Probabilities 0..1 of uint8 frames."""
        votes = [np.asarray(member(frames)) for member in self.members]
        return jnp.asarray(weighted_mean(votes, self.weights, self.mean))

    def apply_fn(self, frames: Float32[Array, "n h w"]) -> Float32[Array, "n h w s"]:
        """Pure and jit-able if every member's is: frames (n, h, w), 0..255, to probabilities."""
        votes = [member.apply_fn(frames) for member in self.members]
        return weighted_mean(votes, self.weights, self.mean)

    def clip_probabilities(self, clip: Clip) -> Float32[np.ndarray, "t h w s"]:
        """Probabilities for one clip, whose name members with masks made before may need."""
        votes = [member.clip_probabilities(clip) for member in self.members]
        return weighted_mean(votes, self.weights, self.mean)


def load(
    members: Sequence[Any] = (),
    *,
    member_weights: Sequence[float | int] = (),
    mean: str = "probabilities",
) -> EnsembleTeacher:
    """An ensemble of teachers, each named with its options as a teacher alone would be.

    Args:
        members: one dictionary per teacher: its `name` and its own options.
        member_weights: one positive number per member; empty: all equal.
        mean: of "probabilities", or of "logits", where a member that is sure counts for more.

    Raises:
        UserError: no members, weights that do not fit them, an unknown mean, or a member's own.
    """
    # Here, because the registry's module names this one.
    from echodfkd_jax.teachers import load_teacher

    if not members:
        raise UserError(
            "config.teacher.members is empty; an ensemble needs at least one, such as "
            "{'name': 'unet'}"
        )
    # One's own has the methods of a FrameTeacher too, whatever its class.
    teachers = [cast(FrameTeacher, load_teacher(**dict(member))) for member in members]
    return combine(teachers, member_weights=member_weights, mean=mean)


def combine(
    members: Sequence[FrameTeacher],
    *,
    member_weights: Sequence[float | int] = (),
    mean: str = "probabilities",
) -> EnsembleTeacher:
    """An ensemble of teachers that are loaded already; arguments and errors as for `load`."""
    values = [float(value) for value in member_weights] or [1.0] * len(members)
    if len(values) != len(members):
        raise UserError(
            f"config.teacher.member_weights has {len(values)} numbers for {len(members)} members; "
            "give one per member, or none for equal ones"
        )
    if not all(value > 0 and np.isfinite(value) for value in values):
        raise UserError(f"config.teacher.member_weights={values}; expected positive numbers")
    if mean not in MEANS:
        raise UserError(f"config.teacher.mean={mean!r}; expected one of {', '.join(MEANS)}")
    structures = {member.structures for member in members}
    if len(structures) > 1:
        raise UserError(
            f"config.teacher.members outline {' and '.join(map(str, sorted(structures)))}; "
            "expected the same structures of all"
        )
    shares = tuple(value / sum(values) for value in values)
    identity = repr([mean, *((m.fingerprint, s) for m, s in zip(members, shares, strict=True))])
    return EnsembleTeacher(
        fingerprint=f"ensemble-{hashlib.sha256(identity.encode()).hexdigest()[:12]}",
        members=tuple(members),
        weights=shares,
        mean=mean,
    )


def weighted_mean(
    votes: Sequence[Float[AnyArray, "n h w s"]],
    weights: Sequence[float],
    mean: str,
) -> Float[AnyArray, "n h w s"]:
    """Weighted mean of members' probabilities.

    Args:
        votes: one array of probabilities (n, h, w, s) per member; JAX or NumPy, and so is the
            result.
        weights: one per member, summing to 1.
        mean: "probabilities", or "logits": of the log-odds, turned back into a probability.
    """
    if mean == "probabilities":
        total = sum(weight * vote for weight, vote in zip(weights, votes, strict=True))
        return cast(AnyArray, total)
    xp = votes[0].__array_namespace__()
    votes = [xp.clip(vote, CERTAINTY_MARGIN, 1 - CERTAINTY_MARGIN) for vote in votes]
    logits = [xp.log(vote) - xp.log1p(-vote) for vote in votes]
    return 1 / (1 + xp.exp(-sum(weight * x for weight, x in zip(weights, logits, strict=True))))
