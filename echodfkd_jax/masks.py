"""Soft masks as they are stored, 255 * probability, rounded; their last axis is the structures.

Structures have names, such as those of the generator: lv (the left-ventricular cavity),
lv_myocardium, la, rv, ra. The cavity is always the first; phases and ejection fractions are its.
"""

from collections.abc import Sequence
from typing import Any

from echodfkd_jax.errors import UserError

# Above this, of 255, a pixel is more likely inside than outside: the same as logit > 0.
MASK_THRESHOLD = 127
LV = "lv"
LV_ALONE = (LV,)

Structures = tuple[str, ...]


def check_structures(names: Sequence[str]) -> Structures:
    """The structures of `config.structures`.

    Raises:
        UserError: the first is not the left ventricle, or one is named twice.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    if names[:1] != LV_ALONE or len(set(names)) < len(names) or not all(map(_is_name, names)):
        raise UserError(
            f"config.structures={names}: expected 'lv' and, after it, names of other structures, "
            "each once"
        )
    return names


def pick_structures(masks: Any, have: Structures, wanted: Structures, whose: str) -> Any:
    """The masks of some structures, in the order in which they are wanted.

    Args:
        masks: (..., structures).
        have: names along the last axis.
        wanted: names.
        whose: masks these are, for the message.

    Raises:
        UserError: a wanted structure is not there.
    """
    if have == wanted:
        return masks
    missing = [name for name in wanted if name not in have]
    if missing:
        raise UserError(
            f"config.structures={wanted}: {whose} has no {missing[0]!r}, only {', '.join(have)}"
        )
    return masks[..., [have.index(name) for name in wanted]]


def name_in(structure: str, name: str) -> str:
    """The name of a number about a structure; those about the left ventricle are plain."""
    return name if structure == LV else f"{structure}/{name}"


def file_stem(name: str, structure: str = LV) -> str:
    """What a structure's file of a clip is called, without suffix."""
    return name if structure == LV else f"{name}.{structure}"


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.isidentifier()
