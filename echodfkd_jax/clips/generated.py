"""A folder of clips that a learned generator made, in the EchoNet layout; resumable.

    FileList.csv         one row per clip, as in EchoNet-Dynamic
    Videos/<name>.avi    the clips
    manifest.json        what made them: the generator, the seed, the settings
    clips.jsonl          one line per clip: what it was made from

A clip is there when its line is; a video without one is made again. FileList.csv follows the lines.
"""

import csv
import io
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from echodfkd_jax import files
from echodfkd_jax.clips import tables, video
from echodfkd_jax.disk import writing
from echodfkd_jax.errors import UserError
from echodfkd_jax.types import Frames

VIDEOS, FILE_LIST = "Videos", "FileList.csv"
MANIFEST, LINES = "manifest.json", "clips.jsonl"
_COLUMNS = (
    *("FileName", "EF", "ESV", "EDV", "FrameHeight", "FrameWidth", "FPS"),
    *("NumberOfFrames", "Split"),
)


class GeneratedClip(NamedTuple):
    """A clip that was made.

    Attributes:
        name: without extension.
        frames: uint8 (t, h, w), both sides even.
        fps: frames per second; the container says the same.
        ef_percent: the ejection fraction that was asked for; nan for none.
        split: "TRAIN", "VAL" or "TEST".
        made_from: what else its line is to say, of JSON's types.
    """

    name: str
    frames: Frames
    fps: float
    ef_percent: float
    split: str
    made_from: Mapping[str, Any] = {}


class GeneratedFolder:
    """Writes clips into a folder and knows which are there.

    Attributes:
        folder: where they are.
    """

    def __init__(self, folder: pathlib.Path, manifest: Mapping[str, Any]) -> None:
        """Opens the folder, or begins it.

        Args:
            folder: made if it is missing.
            manifest: what makes the clips; of JSON's types.

        Raises:
            UserError: something else made the clips that are there, or its files are damaged.
            DiskError: the folder cannot be written.
        """
        self.folder = folder
        wanted = json.loads(json.dumps(files.plain(manifest)))
        advice = "delete the folder, or set another one"
        try:
            found = files.read_json(folder / MANIFEST, advice)
        except FileNotFoundError:
            files.make_folder(folder / VIDEOS)
            files.write_json(folder / MANIFEST, wanted)
            found = wanted
        for field in sorted(found.keys() | wanted.keys()):
            if found.get(field) != wanted.get(field):
                raise UserError(
                    f"{folder}: its clips were made with {field}={found.get(field)!r}, asked for "
                    f"{wanted.get(field)!r}; {advice}"
                )
        self._lines = self._read()

    @property
    def names(self) -> tuple[str, ...]:
        """The clips that are there, in the order in which they were made."""
        return tuple(self._lines)

    def line(self, name: str) -> dict[str, Any]:
        """What a clip's line says."""
        return self._lines[name]

    def add(self, clips: Sequence[GeneratedClip]) -> None:
        """Writes clips, first their videos, then that they are there.

        Raises:
            DiskError: the disk is full; what was there before is kept.
        """
        for clip in clips:
            target = self.folder / VIDEOS / f"{clip.name}.avi"
            part = target.with_suffix(".part.avi")
            with writing(target):
                video.write_avi(part, clip.frames, clip.fps)
                part.replace(target)
            self._lines[clip.name] = {
                **clip.made_from,
                "name": clip.name,
                "ef_percent": None if math.isnan(clip.ef_percent) else float(clip.ef_percent),
                "fps": float(clip.fps),
                "num_frames": len(clip.frames),
                "height": int(clip.frames.shape[1]),
                "width": int(clip.frames.shape[2]),
                "split": clip.split,
            }
        lines = [json.dumps(files.plain(line), allow_nan=False) for line in self._lines.values()]
        files.write_text(self.folder / LINES, "".join(f"{line}\n" for line in lines))
        files.write_text(self.folder / FILE_LIST, self._table())

    def _table(self) -> str:
        """FileList.csv; volumes are 0, which stands for unknown there."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for line in self._lines.values():
            ef = "" if line["ef_percent"] is None else f"{line['ef_percent']:.2f}"
            size = line["height"], line["width"]
            writer.writerow(
                (line["name"], ef, 0, 0, *size, line["fps"], line["num_frames"], line["split"])
            )
        return text.getvalue()

    def _read(self) -> dict[str, dict[str, Any]]:
        path = self.folder / LINES
        try:
            lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            found = {str(line["name"]): line for line in lines}
            if any(line["split"] not in tables.SPLITS for line in lines):
                raise ValueError(f"a split other than {', '.join(tables.SPLITS)}")
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise UserError(
                f"{path}: cannot be read ({error}); delete the folder, or set another one"
            ) from error
        return {
            name: line
            for name, line in found.items()
            if (self.folder / VIDEOS / f"{name}.avi").is_file()
        }
