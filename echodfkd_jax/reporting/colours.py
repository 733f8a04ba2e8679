"""One colour per model in every picture, from Okabe and Ito's palette for colour-blind people."""

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "student": (86, 180, 233),  # sky blue
    "teacher": (230, 159, 0),  # orange
    "labeller": (0, 158, 115),  # bluish green
    "reference": (204, 121, 167),  # reddish purple
}
_OTHER: RGB = (240, 228, 66)  # yellow


def colour(model: str) -> RGB:
    """Red, green and blue, 0..255."""
    return COLOURS.get(model, _OTHER)


def as_hex(model: str) -> str:
    """`#rrggbb`, as matplotlib and CSS take it."""
    return "#{:02x}{:02x}{:02x}".format(*colour(model))
