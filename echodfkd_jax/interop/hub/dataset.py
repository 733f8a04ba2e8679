"""A prepared data set as a folder for a hub of data.

| file | what |
|---|---|
| `README.md` | the card: where clips and masks are from, licence, how they are read |
| `clips.parquet` | a line for every clip: split, shard, frames, rate, volumes, ED and ES |
| `data/<split>-<n>.tar` | WebDataset: `<key>.npz`, a clip's arrays, and `<key>.json`, its line |
| `croissant.json` | what the files are and what the columns mean, as JSON-LD |
"""

import datetime
import hashlib
import io
import json
import math
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from etils import epath

import echodfkd_jax
from echodfkd_jax import buckets, files
from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.hub.model import CARD, Licence, rendered
from echodfkd_jax.masks import Structures
from echodfkd_jax.types import Clip, Clips

TABLE, CROISSANT, DATA = "clips.parquet", "croissant.json", "data"
_CLIPS_PER_SHARD = 32
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


class Column(NamedTuple):
    """A column of the table.

    Attributes:
        kind: of Croissant, without the prefix "sc:".
        meaning: with its unit.
    """

    kind: str
    meaning: str


COLUMNS = {
    "clip_id": Column("Text", "name of the clip"),
    "split": Column("Text", "train, validation or test"),
    "shard": Column("Text", "the file in which it is"),
    "num_frames": Column("Integer", "frames"),
    "fps": Column("Float", "frames per second"),
    "ef_percent": Column("Float", "ejection fraction, percent"),
    "edv_ml": Column("Float", "end-diastolic volume, ml"),
    "esv_ml": Column("Float", "end-systolic volume, ml"),
    "ed_frame": Column("Integer", "end-diastole, from 0; -1 where it is not known"),
    "es_frame": Column("Integer", "end-systole, from 0; -1 where it is not known"),
}


class About(NamedTuple):
    """What only the one who exports knows.

    Attributes:
        name: of the data set.
        licence: of the clips.
        data: where clips and masks are from, in a sentence.
        metadata: what the data set was made from.
        teacher_structures: names along the last axis of the teacher's masks.
        reference_structures: of the reference masks.
    """

    name: str
    licence: Licence
    data: str
    metadata: Mapping[str, Any]
    teacher_structures: Structures
    reference_structures: Structures


def require_pyarrow() -> Any:
    """The package that writes the table.

    Raises:
        UserError: it is not installed.
    """
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise UserError(
            "config.export.format='hub_dataset': its table needs pyarrow; "
            "pip install 'echodfkd_jax[hub]'"
        ) from error
    return pyarrow


def write(folder: epath.Path, splits: Mapping[str, Clips], about: About) -> int:
    """Writes the folder, the card last, and returns the number of clips.

    Args:
        folder: made if it is missing.
        splits: the clips by split.
        about: what is said about them.
    """
    lines: list[dict[str, Any]] = []
    shards: dict[str, str] = {}
    # Shards of an earlier export go with its folder.
    with buckets.replacing_folder(folder / DATA) as part:
        for split, clips in splits.items():
            for name, content, rows in _shards(split, clips):
                files.write_bytes(part / name, content)
                shards[f"{DATA}/{name}"] = hashlib.sha256(content).hexdigest()
                lines += rows
    files.write_bytes(folder / TABLE, _table(lines))
    hashes = {TABLE: files.sha256_of(folder / TABLE), **shards}
    files.write_json(folder / CROISSANT, croissant(about, hashes), indent=2)
    counts = {split: len(clips) for split, clips in splits.items()}
    text = rendered("dataset_card.md", about=about, columns=COLUMNS, counts=counts)
    files.write_text(folder / CARD, text)
    return len(lines)


def croissant(about: About, hashes: Mapping[str, str]) -> dict[str, Any]:
    """The metadata: files with their hashes, and the columns of the table.

    Args:
        about: what is said about the data set.
        hashes: path in the folder -> sha256.
    """
    kinds = {".parquet": "application/x-parquet", ".tar": "application/x-tar"}
    distribution = [
        {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "encodingFormat": next(kind for end, kind in kinds.items() if name.endswith(end)),
            "sha256": sha256,
        }
        for name, sha256 in hashes.items()
    ]
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"clips/{name}",
            "name": name,
            "description": column.meaning,
            "dataType": f"sc:{column.kind}",
            "source": {"fileObject": {"@id": TABLE}, "extract": {"column": name}},
        }
        for name, column in COLUMNS.items()
    ]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": about.name,
        "description": f"Echocardiogram clips with masks. {about.data} Not for diagnosis.",
        "license": about.licence.identifier,
        "version": "1.0.0",
        "creator": {"@type": "sc:Organization", "name": "The authors of echodfkd_jax"},
        "datePublished": datetime.date.today().isoformat(),
        "citeAs": f"{about.name}, made with echodfkd_jax {echodfkd_jax.__version__}. {about.data}",
        "distribution": distribution,
        "recordSet": [{"@type": "cr:RecordSet", "@id": "clips", "name": "clips", "field": fields}],
    }


def _shards(split: str, clips: Clips) -> Iterator[tuple[str, bytes, list[dict[str, Any]]]]:
    """Yields name, content and the lines of the clips of every shard of a split."""
    for number, start in enumerate(range(0, len(clips), _CLIPS_PER_SHARD)):
        name = f"{split}-{number:05d}.tar"
        stop = min(start + _CLIPS_PER_SHARD, len(clips))
        rows, buffer = [], io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for index in range(start, stop):
                clip = clips[index]
                line = _line(clip, split, f"{DATA}/{name}")
                # What stands before the first point is the key.
                key = f"{split}_{index:06d}"
                _add(archive, f"{key}.npz", _arrays(clip))
                _add(archive, f"{key}.json", json.dumps(line).encode())
                rows.append(line)
        yield name, buffer.getvalue(), rows


def _line(clip: Clip, split: str, shard: str) -> dict[str, Any]:
    values = (
        *(clip.name, split, shard, len(clip.frames)),
        *(clip.fps, clip.ef_percent, clip.edv_ml, clip.esv_ml, clip.ed_frame, clip.es_frame),
    )
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in zip(COLUMNS, values)
    }


def _arrays(clip: Clip) -> bytes:
    """Frames and masks; of what a clip has not, there is no array."""
    arrays: dict[str, Any] = {
        "frames": clip.frames,
        "reference_frames": clip.reference_frames,
        "reference_masks": clip.reference_masks,
    }
    if clip.teacher_mask is not None:
        arrays["teacher_mask"] = clip.teacher_mask
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _table(lines: Sequence[Mapping[str, Any]]) -> bytes:
    """The table as a Parquet file."""
    pyarrow = require_pyarrow()
    import pyarrow.parquet as parquet

    kinds = {"Text": pyarrow.string(), "Integer": pyarrow.int64(), "Float": pyarrow.float64()}
    schema = pyarrow.schema([(name, kinds[column.kind]) for name, column in COLUMNS.items()])
    values = {name: [line[name] for line in lines] for name in COLUMNS}
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(values, schema=schema), buffer)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # Without owner or time: the same clips give the same file.
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
