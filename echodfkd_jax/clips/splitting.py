"""Which clips of a folder are for training, where nothing says it."""

import hashlib
from collections.abc import Iterable

# Every tenth clip is for test, every tenth for validation.
HELD_OUT_FRACTION = 0.1


def by_hash(names: Iterable[str]) -> dict[str, str]:
    """Splits by a hash of the names: the same names give the same splits everywhere.

    Returns:
        Name -> "train", "validation" or "test".
    """
    shuffled = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    count = max(1, round(HELD_OUT_FRACTION * len(shuffled)))
    splits = dict.fromkeys(shuffled, "train")
    splits |= dict.fromkeys(shuffled[count : 2 * count], "validation")
    return splits | dict.fromkeys(shuffled[:count], "test")
