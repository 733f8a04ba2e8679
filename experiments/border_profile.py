"""How bright clips are across the ventricle's outline, region by region: generated beside real.

    python -m experiments.border_profile                   what the generator makes
    python -m experiments.border_profile --beside FOLDER   and how far it is from a folder's clips

FOLDER is in the EchoNet layout with `TeacherMasks/`; it is measured and never learned from. Numbers
are percent of the frame's 97th percentile of brightness, by the distance to the outline in pixels
of a 112-pixel frame (negative: inside), averaged over the frames in which the ventricle is largest
(ED) and smallest (ES). Regions: septal (left) and lateral (right) wall between a quarter and 85 %
of the way from apex to base, apex (the first eighth), base (the last tenth, within 10 pixels of the
axis). `--figure=FILE.png` draws the profiles, `--poor_windows=0` leaves out all windows but clear
ones.
"""

import argparse
import functools
import pathlib
from collections.abc import Iterable, Iterator

import jax
import matplotlib
import numpy as np
from scipy import ndimage

from echodfkd_jax.clips import echonet
from echodfkd_jax.masks import MASK_THRESHOLD
from echodfkd_jax.synthesis import TRAINING_POOR_WINDOWS, make_clip

DISTANCES = np.arange(-8, 13)
PHASES = ("ED", "ES")
REGIONS = ("septal", "lateral", "apex", "base")
# Of a clip's frames, in each phase; masks smaller than this tell nothing.
PHASE_SHARE, LEAST_AREA = 0.08, 150
NUM_CLIPS, NUM_FRAMES, SEED = 128, 40, 1000

# By phase and region, in the order of `PHASES` and `REGIONS`: one value per distance.
Profiles = np.ndarray


def frame_profile(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Brightness of one frame by region and distance.

    Args:
        frame: uint8 (h, w).
        mask: bool (h, w), not empty.

    Returns:
        float64 (4, 21), percent; nan where fewer than three pixels lie.
    """
    signed = np.where(
        mask,
        0.5 - ndimage.distance_transform_edt(mask),
        ndimage.distance_transform_edt(~mask) - 0.5,
    )
    rows = np.flatnonzero(mask.any(axis=1))
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    along = (y - rows[0]) / max(rows[-1] - rows[0], 1)
    middle = [np.flatnonzero(mask[row]).mean() for row in rows]
    axis = np.interp(np.arange(mask.shape[0]), rows, middle)[:, None]
    wall = (along > 0.25) & (along < 0.85)
    regions = (
        wall & (x < axis),
        wall & (x > axis),
        along < 0.12,
        (along > 0.9) & (np.abs(x - axis) < 10),
    )
    grey = 100.0 * frame / max(np.percentile(frame, 97), 30.0)
    values = np.full((len(REGIONS), len(DISTANCES)), np.nan)
    for number, region in enumerate(regions):
        for place, distance in enumerate(DISTANCES):
            at = region & (signed >= distance - 0.5) & (signed < distance + 0.5)
            if at.sum() > 2:
                values[number, place] = grey[at].mean()
    return values


def profiles(clips: Iterable[tuple[np.ndarray, np.ndarray]]) -> Profiles:
    """Mean profiles at ED and ES over all clips' frames.

    Args:
        clips: (frames uint8, masks bool), each (t, h, w).

    Returns:
        float64 (2, 4, 21): phase, region, distance.
    """
    found: tuple[list, list] = ([], [])
    for frames, masks in clips:
        areas = masks.sum(axis=(1, 2))
        low, high = np.quantile(areas, [PHASE_SHARE, 1.0 - PHASE_SHARE])
        for rows, chosen in zip(found, (areas >= high, areas <= low)):
            chosen = chosen & (areas >= LEAST_AREA)
            rows += [frame_profile(frames[i], masks[i]) for i in np.flatnonzero(chosen)]
    return np.stack([_mean_of_known(np.stack(rows)) for rows in found])


def _mean_of_known(rows: np.ndarray) -> np.ndarray:
    """Mean over the first axis without nan; nan where nothing is known."""
    known = ~np.isnan(rows)
    total, count = np.where(known, rows, 0.0).sum(axis=0), known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def gaps(one: Profiles, other: Profiles) -> np.ndarray:
    """Mean distance of two sets of profiles, by phase and region: float64 (2, 4)."""
    return np.nanmean(np.abs(one - other), axis=-1)


def generated(
    count: int, *, poor_windows: float = TRAINING_POOR_WINDOWS
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames and exact cavity masks of the generator's clips, eight made at a time."""
    make = functools.partial(make_clip, num_frames=NUM_FRAMES, poor_windows=poor_windows)
    batch = jax.jit(jax.vmap(lambda key: (lambda clip: (clip.frames, clip.mask))(make(key))))
    for first in range(0, count, 8):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(SEED), first), 8)
        yield from zip(*map(np.asarray, batch(keys)))


def recorded(folder: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames and the teacher's cavity masks of a folder's clips."""
    for clip in echonet.open_folder(folder):
        yield clip.frames, clip.teacher_mask[..., 0] > MASK_THRESHOLD


def table(rows: Profiles) -> str:
    """One line per phase and region."""
    lines = [" " * 11 + "".join(f"{distance:4d}" for distance in DISTANCES)]
    for phase, regions in zip(PHASES, rows):
        for region, values in zip(REGIONS, regions):
            numbers = ("   ." if np.isnan(value) else f"{value:4.0f}" for value in values)
            lines.append(f"{phase} {region:8s}" + "".join(numbers))
    return "\n".join(lines)


def draw(sets: dict[str, Profiles], file: str) -> None:
    """A figure with a panel for each phase and region and a curve for each set."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 4, figsize=(12, 5), sharex=True, sharey=True)
    for number, panel in enumerate(axes.flat):
        phase, region = divmod(number, len(REGIONS))
        for name, rows in sets.items():
            panel.plot(DISTANCES, rows[phase, region], label=name)
        panel.axvline(0.0, color="0.6", linewidth=0.8)
        panel.set_title(f"{PHASES[phase]}, {REGIONS[region]}")
    axes[0, 0].legend(frameon=False)
    figure.supxlabel("distance to the outline, pixels (negative: inside)")
    figure.supylabel("brightness, % of the frame's 97th percentile")
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--beside", default="", help="a folder of clips to compare with")
    parser.add_argument("--clips", type=int, default=NUM_CLIPS, help="how many are generated")
    parser.add_argument("--poor_windows", type=float, default=TRAINING_POOR_WINDOWS)
    parser.add_argument("--figure", default="", help="a PNG to be drawn")
    options = parser.parse_args()
    made = generated(options.clips, poor_windows=options.poor_windows)
    sets = {"generated": profiles(made)}
    beside = pathlib.Path(options.beside).name
    if beside:
        sets = {beside: profiles(recorded(options.beside)), **sets}
    for name, rows in sets.items():
        print(f"{name}\n{table(rows)}")
    if beside:
        gap = gaps(sets[beside], sets["generated"])
        each = ", ".join(
            f"{phase} {region} {gap[i, j]:.1f}"
            for i, phase in enumerate(PHASES)
            for j, region in enumerate(REGIONS)
        )
        print(f"mean gap {gap.mean():.1f} of 100: {each}")
    if options.figure:
        draw(sets, options.figure)


if __name__ == "__main__":
    main()
