"""Generated clips as a folder in the EchoNet layout, with another folder's clips beside them.

    python -m experiments.clip_folder OUT --generated=200 --beside=FOLDER

Makes one training set of two kinds of clips, to see what one adds to the other
(`docs/experiments.md`). Every twentieth generated clip is for validation, every twentieth for test.
The other folder's clips are linked, not copied.
"""

import argparse
import csv
import functools
import pathlib

import jax
import numpy as np
import tqdm

from echodfkd_jax.clips import video
from echodfkd_jax.synthesis import TRAINING_POOR_WINDOWS, make_clip

# As in EchoNet-Dynamic.
COLUMNS = ("FileName", "EF", "ESV", "EDV", "FrameHeight", "FrameWidth", "FPS")
COLUMNS += ("NumberOfFrames", "Split")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--generated", type=int, default=200)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--beside", type=pathlib.Path)
    options = parser.parse_args()
    videos = options.out / "Videos"
    videos.mkdir(parents=True)
    rows = list(_generate(videos, options.generated, options.frames))
    if options.beside:
        with (options.beside / "FileList.csv").open(newline="") as table:
            rows += [{name: row[name] for name in COLUMNS} for row in csv.DictReader(table)]
        for file in (options.beside / "Videos").iterdir():
            (videos / file.name).symlink_to(file.resolve())
    with (options.out / "FileList.csv").open("w", newline="") as table:
        writer = csv.DictWriter(table, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    print(f"{options.out}: {len(rows)} clips")


def _generate(videos: pathlib.Path, count: int, num_frames: int):
    make = jax.jit(
        functools.partial(make_clip, num_frames=num_frames, poor_windows=TRAINING_POOR_WINDOWS)
    )
    for number in tqdm.trange(count, unit="clip"):
        clip = make(jax.random.fold_in(jax.random.key(2), number))
        name = f"generated_{number:05d}"
        video.write_avi(videos / f"{name}.avi", np.asarray(clip.frames), float(clip.fps))
        split = {18: "VAL", 19: "TEST"}.get(number % 20, "TRAIN")
        values = [float(clip.ef_percent), float(clip.esv_ml), float(clip.edv_ml)]
        row = [name, *(f"{value:.3f}" for value in values)]
        row += [112, 112, f"{float(clip.fps):.2f}", num_frames, split]
        yield dict(zip(COLUMNS, row, strict=True))


if __name__ == "__main__":
    main()
