"""A student as a folder for a model hub.

| file | what |
|---|---|
| `README.md` | the card: data, licence, scores, limits; its head is for the Hugging Face hub |
| `model.safetensors` | weights, for this project |
| `model.stablehlo` | network and weights, for jax alone |
| `config.json` | network, input and output, hashes |
| `load.py` | reads the second with jax, flatbuffers and numpy |
| `requirements.txt` | these three |
"""

import json
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jinja2
import numpy as np
from etils import epath

import echodfkd_jax
from echodfkd_jax import files
from echodfkd_jax.interop.export import export_stablehlo
from echodfkd_jax.interop.viewers import formats
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.networks.registry import describe_model
from echodfkd_jax.networks.safetensors import save_variables

WEIGHTS, PROGRAM, CONFIG, CARD = "model.safetensors", "model.stablehlo", "config.json", "README.md"
_SIDE_PX = 112
_HERE = pathlib.Path(__file__).parent
_REQUIREMENTS = ("jax>=0.10,<0.13", "flatbuffers>=24,<26", "numpy>=2.1,<3")


class Licence(NamedTuple):
    """Under which weights or clips may be handed on.

    Attributes:
        identifier: as the Hugging Face hub writes it.
        words: what that means here.
    """

    identifier: str
    words: str


class Score(NamedTuple):
    """One number of an evaluation.

    Attributes:
        name: of the metric, for programs.
        heading: what it is.
        data: on what.
        value: over clips.
        text: value and 95 % interval.
        clips: how many.
    """

    name: str
    heading: str
    data: str
    value: float
    text: str
    clips: str


class Card(NamedTuple):
    """What only the one who exports knows.

    Attributes:
        name: of the model.
        licence: of the weights.
        data: on what it was trained, in a sentence.
        scores: of an evaluation of these very weights; none where there was none.
    """

    name: str
    licence: Licence
    data: str
    scores: Sequence[Score]


def write(folder: epath.Path, student: LoadedNetwork, card: Card) -> None:
    """Writes the folder; the card last.

    Args:
        folder: made if it is missing.
        student: with its weights.
        card: what is said about it.
    """
    # Not `student.source`: a folder of this machine is nobody's business.
    metadata = {
        "model": describe_model(student.model),
        "source": card.name,
        "fingerprint": student.fingerprint,
    }
    save_variables(folder / WEIGHTS, student.variables, metadata)
    export_stablehlo(
        folder / PROGRAM, student.model, student.variables, height=_SIDE_PX, width=_SIDE_PX
    )
    config = {
        "library_name": "echodfkd_jax",
        "version": echodfkd_jax.__version__,
        "model_type": "echodfkd_student",
        "network": json.loads(describe_model(student.model)),
        "fingerprint": student.fingerprint,
        "num_weights": sum(np.size(leaf) for leaf in jax.tree.leaves(student.variables["params"])),
        "input": {
            "axes": ["clips", "frames", "height", "width"],
            "dtype": "uint8",
            "values": "grey, 0 to 255",
            "height": _SIDE_PX,
            "width": _SIDE_PX,
        },
        "output": {"values": "probability", "structures": list(student.structures)},
        "sha256": {name: files.sha256_of(folder / name) for name in (WEIGHTS, PROGRAM)},
    }
    files.write_json(folder / CONFIG, config, indent=2)
    files.write_bytes(folder / "load.py", (_HERE / "load.py").read_bytes())
    files.write_text(folder / "requirements.txt", "\n".join(_REQUIREMENTS) + "\n")
    outlined = [formats.words_of(name) for name in student.structures]
    text = rendered(
        "model_card.md", card=card, config=config, outlined=outlined, requirements=_REQUIREMENTS
    )
    files.write_text(folder / CARD, text)


def rendered(template: str, **values: object) -> str:
    """A template of this folder with values in it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**values)
