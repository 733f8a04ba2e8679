"""Human tracings to masks, as the EchoNet-Dynamic data set means them.

A tracing is a table of chords (x1, y1, x2, y2) in pixels of the original frame: row 0 is the long
axis, the twenty rows after it cross the ventricle from base to apex. One frame may carry the
tables of several annotators, one after another. In EchoNet-Pediatric it is the outline itself, a
table of points (x, y).
"""

import numpy as np
from jaxtyping import Bool, Float
from skimage import draw

# The long axis and twenty chords.
ROWS_PER_TRACE = 21

# An outline encloses nothing with fewer points.
_LEAST_POINTS = 3

# The first and the last chord are so far from the ends of the long axis, of its length: closer, and
# they would be points; farther, and the outline would lose its ends.
_END_CHORD = 0.01

# Of one annotator on one frame: chords (x1, y1, x2, y2) or points of the outline (x, y).
Trace = Float[np.ndarray, "rows columns"]


def split_annotators(
    rows: Float[np.ndarray, "all columns"],
) -> tuple[list[Trace], int]:
    """Cuts the rows of one frame into one table per annotator; an outline is one table.

    Args:
        rows: all rows of a frame in file order.

    Returns:
        The complete tables in file order, and how many rows are left over (not 0: the last table
        is incomplete and was dropped).
    """
    if rows.shape[1] == 2:
        return ([rows], 0) if len(rows) >= _LEAST_POINTS else ([], len(rows))
    num_traces, left_over = divmod(len(rows), ROWS_PER_TRACE)
    tables = rows[: num_traces * ROWS_PER_TRACE].reshape(num_traces, ROWS_PER_TRACE, 4)
    return list(tables), left_over


def polygon(trace: Trace) -> tuple[Float[np.ndarray, "points"], Float[np.ndarray, "points"]]:
    """The outline of a tracing: down one side of the ventricle, up the other.

    Args:
        trace: one annotator's rows; of chords the first, the long axis, is no part of the outline.

    Returns:
        x and y in pixels, two for each chord.
    """
    if trace.shape[1] == 2:
        return trace[:, 0], trace[:, 1]
    x1, y1, x2, y2 = trace[1:].T
    return np.concatenate([x1, x2[::-1]]), np.concatenate([y1, y2[::-1]])


def from_outline(outline: Float[np.ndarray, "points 2"]) -> Trace:
    """An outline as the data set has it: the long axis, and twenty chords across it.

    The long axis is the principal one of the outline's points; the lower end is the base, as in an
    apical view. A chord joins the outermost crossings of the outline, so that a bay in its side is
    bridged.

    Args:
        outline: x and y of at least three points in order, about evenly spaced.

    Returns:
        (21, 4): x1, y1 (base, left) and x2, y2 (apex, right); chords from base to apex.
    """
    middle = outline.mean(axis=0)
    centred = outline - middle
    _, axes = np.linalg.eigh(centred.T @ centred)
    up = axes[:, -1] * (-1 if axes[1, -1] > 0 else 1)  # y grows downwards.
    right = np.array([-up[1], up[0]])
    along, across = centred @ up, centred @ right
    low, high = along.min(), along.max()
    heights = low + (high - low) * np.linspace(_END_CHORD, 1 - _END_CHORD, ROWS_PER_TRACE - 1)
    sides = np.array([_crossings(along, across, height) for height in heights])
    ends = np.array([[low, sides[0].mean()], [high, sides[-1].mean()]])
    chords = np.stack([np.repeat(heights[:, None], 2, axis=1), sides], axis=-1)
    rows = np.concatenate([ends[None], chords])  # Of each two points: along, across.
    return (middle + rows[..., :1] * up + rows[..., 1:] * right).reshape(-1, 4)


def _crossings(
    along: Float[np.ndarray, "points"], across: Float[np.ndarray, "points"], height: float
) -> tuple[float, float]:
    """Where a closed outline crosses a height: the outermost two positions."""
    next_along, next_across = np.roll(along, -1), np.roll(across, -1)
    crosses = (along <= height) != (next_along <= height)
    part = (height - along[crosses]) / (next_along[crosses] - along[crosses])
    found = across[crosses] + part * (next_across[crosses] - across[crosses])
    return float(found.min()), float(found.max())


def mask(
    trace: Trace, *, frame_shape: tuple[int, int], size_px: int
) -> Bool[np.ndarray, "{size_px} {size_px}"]:
    """Fills a tracing.

    Corners are rounded to whole pixels, then filled by scikit-image's `draw.polygon`, as the data
    set's authors do. On a frame that was resized the corners are scaled first.

    Args:
        trace: one annotator's rows, in pixels of the original frame.
        frame_shape: height and width of the original frame.
        size_px: height and width of the mask.

    Returns:
        bool (size_px, size_px); what lies outside the frame is cut off.
    """
    x, y = polygon(trace)
    height, width = frame_shape
    columns = np.rint(_scale(x, size_px / width)).astype(int)
    rows = np.rint(_scale(y, size_px / height)).astype(int)
    filled = np.zeros((size_px, size_px), bool)
    filled[draw.polygon(rows, columns, filled.shape)] = True
    return filled


def _scale(positions: Float[np.ndarray, "points"], factor: float) -> Float[np.ndarray, "points"]:
    """Maps pixel centres of one grid to another; pixel 0 covers -0.5 to 0.5."""
    return positions if factor == 1.0 else (positions + 0.5) * factor - 0.5
