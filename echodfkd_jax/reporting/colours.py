"""One colour per model and structure in every picture.

Models have colours of Okabe and Ito's palette for colour-blind people.
"""

from collections.abc import Sequence

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "student": (86, 180, 233),  # sky blue
    "teacher": (230, 159, 0),  # orange
    "labeller": (0, 158, 115),  # bluish green
    "reference": (204, 121, 167),  # reddish purple
    "la": (213, 94, 0),  # vermilion
    "rv": (0, 114, 178),  # blue
    "ra": (204, 204, 204),  # grey
    "lv_myocardium": (190, 160, 90),  # sand
}
_OTHER: RGB = (240, 228, 66)  # yellow


# Of students that are put beside each other: none that another model has in the same picture.
_CANDIDATES = ("student", "labeller", "la", "rv", "lv_myocardium", "ra")


def colour(label: str) -> RGB:
    """Red, green and blue, 0..255."""
    return COLOURS.get(label, _OTHER)


def as_hex(label: str) -> str:
    """`#rrggbb`, as matplotlib and CSS take it."""
    return "#{:02x}{:02x}{:02x}".format(*colour(label))


def of_candidates(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each of several students, `#rrggbb`; they repeat after six."""
    return {
        label: as_hex(_CANDIDATES[number % len(_CANDIDATES)]) for number, label in enumerate(labels)
    }
