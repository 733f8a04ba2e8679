"""Writes a made-up folder in EchoNet-Dynamic's layout with every defect that real folders have.

34 rows in FileList.csv. The "ventricle" is a bright ellipse on a dark ground that beats with a
period of 18 frames: largest (ED) at frame 3, smallest (ES) at frame 12.
"""

import math
import pathlib

import numpy as np

from echodfkd_jax.clips import video

NUM_FRAMES = 30
FPS = 50.0
ED_FRAME, ES_FRAME = 3, 12

# name -> defects; what is not named is sound. Names sort in this order.
CLIPS: dict[str, set[str]] = {
    **{f"0X{number:016X}": set() for number in range(12)},
    "0XSWAPPED0": {"swapped"},
    "0XSWAPPED1": {"swapped"},
    "0XSWAPPED2": {"swapped"},
    "0XANNOTATORS0": {"annotators"},
    "0XANNOTATORS1": {"annotators", "swapped"},
    "0XUNTRACED0": {"untraced"},
    "0XUNTRACED1": {"untraced"},
    "0XWIDE0": {"wide", "untraced"},
    "0XWIDE1": {"wide"},
    "0XMISSING0": {"missing"},
    "0XMISSING1": {"missing"},
    "0XTRUNCATED0": {"truncated"},
    "0XTRUNCATED1": {"truncated"},
    "0XCLIPPED0": {"clipped"},
    "0XJUNK0": {"junk"},
    "0XEMPTY0": {"empty"},
    "0XSHORT0": {"short"},
    "0XSHORT1": {"short"},
    "0XINCOMPLETE0": {"incomplete"},
    "0XOUTSIDE0": {"outside"},
    "0XNOMASK0": {"no_mask"},
    "0XMASKLENGTH0": {"mask_length"},
}
UNLISTED = ("0XUNLISTED0", "0XUNLISTED1")
TRACED_ONLY = "0XTRACEDONLY0"
# rule -> number of clips, as `prepare_report.json` should have them with windows of 25 frames.
EXPECTED_COUNTS = {
    "missing": 2,
    "unlisted": 2,
    "unreadable": 2,
    "truncated": 2,
    "too_short": 2,
    "untraced": 3,
    "resized": 2,
    "fewer_frames": 1,
    "several_annotators": 2,
    "incomplete_tracing": 1,
    "tracing_outside_clip": 1,
    "empty_tracing": 0,
    "one_traced_frame": 2,
    "es_before_ed_in_table": 4,
    "ef_fraction": 0,
    "mask_mismatch": 1,
    "traced_but_unlisted": 1,
}
NUM_USED = 26  # 34 listed less 2 missing, 2 unreadable, 2 truncated, 2 too short
NUM_MASKED = 24  # less the one without a mask file and the one with a mask of another length


def build(folder: pathlib.Path) -> pathlib.Path:
    """Writes the folder and returns it."""
    for name in ("Videos", "TeacherMasks"):
        (folder / name).mkdir(parents=True)
    listed = ["FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split"]
    traced = ["FileName,X1,Y1,X2,Y2,Frame"]
    for index, (name, defects) in enumerate(CLIPS.items()):
        split = ("TRAIN", "train", "VAL", "TEST")[index % 4]
        listed.append(f"{name},50.0,60.0,120.0,1,1,{FPS},7,{split}")
        frames, masks = beat(NUM_FRAMES if "short" not in defects else 10, wide="wide" in defects)
        if "missing" not in defects:
            _write_video(folder / "Videos" / f"{name}.avi", frames, defects)
        _write_mask(folder / "TeacherMasks", name, masks, defects, index)
        traced += _tracing_rows(name, defects)
    for name in UNLISTED:
        video.write_avi(folder / "Videos" / f"{name}.avi", beat(NUM_FRAMES)[0], FPS)
    traced += _tracing_rows(TRACED_ONLY, set())
    _write_table(folder / "FileList.csv", listed, bom=True)
    _write_table(folder / "VolumeTracings.csv", traced, bom=False)
    return folder


def build_synthetic(folder: pathlib.Path, num_clips: int, num_frames: int) -> pathlib.Path:
    """Writes a folder in EchoNet-Synthetic's layout, with what its released tables have wrong.

    No masks, no tracings; volumes of zero, made-up sizes; 32 frames a second in the table and 30 in
    the videos.
    """
    (folder / "Videos").mkdir(parents=True)
    lines = ["FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split"]
    for number in range(num_clips):
        name = f"sample_{number:06d}"
        video.write_avi(folder / "Videos" / f"{name}.avi", beat(num_frames)[0], 30.0)
        split = ("TRAIN", "TRAIN", "VAL", "TEST")[number % 4]
        lines.append(f"{name},{10 + number},0,0,600,800,32,50,{split}")
    (folder / "FileList.csv").write_text("\n".join(lines) + "\n")
    return folder


def beat(num_frames: int, *, wide: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Frames and masks, uint8 (t, h, w), of one clip; `wide` ones are 160 x 120."""
    height, width = (120, 160) if wide else (112, 112)
    y, x = np.mgrid[:height, :width]
    masks = np.zeros((num_frames, height, width), np.uint8)
    for frame in range(num_frames):
        a, b = _semi_axes(frame)
        masks[frame] = ((x - 56) / a) ** 2 + ((y - 50) / b) ** 2 <= 1
    return 40 + 150 * masks, 255 * masks


def trace_rows(frame: int) -> list[tuple[float, float, float, float]]:
    """The 21 rows that a human would have drawn on a frame."""
    a, b = _semi_axes(frame)
    rows = [(56.0, 50.0 - b, 56.0, 50.0 + b)]
    for chord in range(20):
        height = -1 + (chord + 0.5) / 10
        half = a * math.sqrt(1 - height**2)
        rows.append((56 - half, 50 + b * height, 56 + half, 50 + b * height))
    return rows


def _semi_axes(frame: int) -> tuple[float, float]:
    swing = math.cos(2 * math.pi * (frame - ED_FRAME) / 18)
    return 18 + 4 * swing, 28 + 5 * swing


def _tracing_rows(name: str, defects: set[str]) -> list[str]:
    if "untraced" in defects:
        return []
    lines = []
    for frame in (ES_FRAME, ED_FRAME) if "swapped" in defects else (ED_FRAME, ES_FRAME):
        rows = trace_rows(frame)
        if "annotators" in defects and frame == ED_FRAME:
            rows += trace_rows(ES_FRAME)
        if "incomplete" in defects and frame == ED_FRAME:
            rows = rows[:15]
        if "outside" in defects and frame == ES_FRAME:
            frame = 500
        for row in rows:
            lines.append(f"{name}.avi,{','.join(f'{value:.4f}' for value in row)},{frame}")
    return lines


def _write_video(path: pathlib.Path, frames: np.ndarray, defects: set[str]) -> None:
    if defects & {"junk", "empty"}:
        path.write_bytes(b"no video at all" * 20 if "junk" in defects else b"")
        return
    video.write_avi(path, frames, FPS)
    content = path.read_bytes()
    if "truncated" in defects:
        path.write_bytes(content[: len(content) // 2])
    elif "clipped" in defects:
        # Inside the last frames: the header still claims 30, the index at the end is gone.
        path.write_bytes(content[: content.rindex(b"00dc", 0, content.rindex(b"idx1"))])


def _write_mask(
    folder: pathlib.Path, name: str, masks: np.ndarray, defects: set[str], index: int
) -> None:
    if "no_mask" in defects:
        return
    if "clipped" in defects:
        masks = masks[:-1]
    if "mask_length" in defects:
        masks = masks[:-3]
    if index % 2:
        np.savez_compressed(folder / f"{name}.seg.npz", masks[:, None])
    else:
        np.save(folder / f"{name}.npy", masks)


def _write_table(path: pathlib.Path, lines: list[str], *, bom: bool) -> None:
    text = "\r\n".join(lines) + "\r\n"
    path.write_bytes(text.encode("utf-8-sig" if bom else "utf-8"))
