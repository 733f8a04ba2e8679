"""One plain word about a clip's numbers, and the reasons for it."""

import math
from typing import NamedTuple

from echodfkd_jax.measurement.beats import Beats
from echodfkd_jax.measurement.trust import Trust
from echodfkd_jax.measurement.view import View

# From good to bad.
RELIABLE, LOOK_TWICE, DO_NOT_USE = "reliable", "look twice", "do not use"
VERDICTS = (RELIABLE, LOOK_TWICE, DO_NOT_USE)


class Reason(NamedTuple):
    """Something that speaks against a clip's numbers.

    Attributes:
        verdict: that it asks for by itself.
        sentence: what it is.
    """

    verdict: str
    sentence: str


class Verdict(NamedTuple):
    """What is to be done with a clip's numbers.

    Attributes:
        word: one of `VERDICTS`, the worst that a reason asks for.
        reasons: sentences; none of a reliable clip.
    """

    word: str
    reasons: tuple[str, ...]


def give(found: Beats, view: View, trust: Trust | None, side_doubt: str = "") -> Verdict:
    """Puts together what is doubted of a clip.

    Args:
        found: its beats.
        view: what its masks look like.
        trust: how far its outlines are to be trusted; None: nobody judged them.
        side_doubt: a sentence where it could not be told whether left and right are exchanged.
    """
    reasons = [*_of_the_outline(trust), *_of_the_beats(found)]
    if not view.four_chamber:
        # A mask that is good by itself may be a strange ventricle's.
        flagged = trust is not None and trust.flagged
        sentence = "To the model this does not look like an apical four-chamber view."
        reasons.append(Reason(DO_NOT_USE if flagged else LOOK_TWICE, sentence))
    if side_doubt:
        reasons.append(Reason(LOOK_TWICE, side_doubt))
    worst = max((VERDICTS.index(reason.verdict) for reason in reasons), default=0)
    return Verdict(VERDICTS[worst], tuple(reason.sentence for reason in reasons))


def is_alone(found: Beats) -> bool:
    """Whether one whole beat is all that can be seen, so that nothing repeats itself."""
    return len(found.beats) == 1 and found.whole_beat and found.periodicity == 0


def _of_the_outline(trust: Trust | None) -> list[Reason]:
    if trust is None or not trust.flagged:
        return []
    how = "is probably wrong" if trust.surely_bad else "may be wrong"
    dice, low, high = trust.clip
    where = f"; look at {_listed(trust.doubted)}" if trust.doubted else ""
    sentence = (
        f"The outline {how}: Dice with the true one is expected to be {dice:.2f} ({low:.2f} to "
        f"{high:.2f}){where}."
    )
    return [Reason(DO_NOT_USE if trust.surely_bad else LOOK_TWICE, sentence)]


def _of_the_beats(found: Beats) -> list[Reason]:
    reasons = []
    if not found.beats and found.begun:
        sentence = (
            "The only contraction had begun before the first frame, so there is no ejection "
            "fraction."
        )
        reasons.append(Reason(DO_NOT_USE, sentence))
    elif not found.beats:
        sentence = "No contraction was found, so there is no ejection fraction."
        reasons.append(Reason(DO_NOT_USE, sentence))
    elif not found.whole_beat:
        sentence = "The clip does not show one whole beat; the ejection fraction is a guess."
        reasons.append(Reason(LOOK_TWICE, sentence))
    elif is_alone(found):
        sentence = "The clip shows one whole beat only; there is no other to compare it with."
        reasons.append(Reason(LOOK_TWICE, sentence))
    if found.irregular:
        spread = found.spread_per_min
        rates = (
            "" if math.isnan(spread) else f" ({found.rate_per_min:.0f} +- {spread:.0f} a minute)"
        )
        sentence = f"The rhythm is irregular{rates}; one beat is not like the next."
        reasons.append(Reason(LOOK_TWICE, sentence))
    return reasons


def _listed(places: tuple[str, ...]) -> str:
    named = [f"the {place}" for place in places]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
