"""Stage `export`, folders for a hub: where weights and clips are from, their licence and scores."""

import ml_collections
from etils import epath

from echodfkd_jax import files
from echodfkd_jax.datasets import prepared, recipe
from echodfkd_jax.errors import DiskError, UserError
from echodfkd_jax.evaluation import files as evaluations
from echodfkd_jax.evaluation import table
from echodfkd_jax.interop.hub import dataset as hub_dataset
from echodfkd_jax.interop.hub import model as hub
from echodfkd_jax.networks import shipped
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.runs import run_config

_APACHE = hub.Licence("apache-2.0", "Apache-2.0.")
_GENERATED = (
    "generated clips only: no patient, no recorded clip, no label by a human",
    _APACHE,
)
# By the source of the clips: which they are, and what that allows.
_RECORDED = {
    "echonet_synthetic": ("EchoNet-Synthetic (arXiv 2406.00808; Apache-2.0)", _APACHE),
    "camus": (
        "CAMUS (https://www.creatis.insa-lyon.fr/Challenge/camus/)",
        hub.Licence("cc-by-nc-sa-4.0", "CC BY-NC-SA 4.0, as the clips: no commercial use."),
    ),
    "echonet_dynamic": (
        "EchoNet-Dynamic (https://echonet.github.io/dynamic/)",
        hub.Licence(
            "other",
            "Stanford's agreement on EchoNet-Dynamic: research only, and nothing derived from its "
            "clips may be handed on without leave.",
        ),
    ),
}
_UNKNOWN = (
    "clips of somebody's own; whoever hands this on says here which",
    hub.Licence("other", "Not known: it follows from the clips; whoever hands this on names it."),
)
# Teachers that were trained on generated clips, or are none at all.
_TEACHERS = ("unet", "none")


def model(folder: epath.Path, student: LoadedNetwork, config: ml_collections.ConfigDict) -> None:
    """Writes a student as a folder for a hub of models.

    Args:
        folder: made if it is missing.
        student: with its weights.
        config: of the stage; its folder may have evaluations of the student.

    Raises:
        UserError: the run's configuration or an evaluation's file is damaged.
        DiskError: the folder cannot be written.
    """
    hub.write(folder, student, _card(config, student))


def dataset(folder: epath.Path, config: ml_collections.ConfigDict) -> None:
    """Writes the prepared data set of a configuration as a folder for a hub of data.

    Raises:
        UserError: there is none, it may not be handed on, pyarrow is not installed, or the folder
            cannot be written.
    """
    hub_dataset.require_pyarrow()
    data, licence = _made_of(config)
    if licence.identifier == "other":
        raise UserError(
            f"config.dataset.name={config.dataset.name}: {licence.words} "
            "config.export.format=hub_dataset takes generated clips, echonet_synthetic or camus, "
            f"with config.teacher.name={' or '.join(_TEACHERS)}"
        )
    place = prepared.directory(recipe.fields_of(config), config.teacher.to_dict())
    metadata = prepared.read_metadata(place)
    name = f"echodfkd-{config.dataset.name}"
    about = hub_dataset.About(
        name, licence, f"From {data}.", metadata, *prepared.structures_of(metadata)
    )
    splits = {split: prepared.open_split(place, split) for split in recipe.SPLITS}
    try:
        count = hub_dataset.write(folder, splits, about)
    except DiskError as error:
        raise UserError(f"config.export.file={folder}: {error}") from error
    print(f"data set: {place}")
    print(f"  hub_dataset: {count} clips in {folder}")


def _made_of(config: ml_collections.ConfigDict) -> tuple[str, hub.Licence]:
    """The clips that a configuration learns from, and what that allows."""
    # What another teacher, or the weights to begin with, were trained on, nobody says.
    start = config.train.get("init_from", "")
    if (
        config.teacher.name not in _TEACHERS
        or config.teacher.get("weights", "")
        or (start and start not in shipped.STUDENTS)
    ):
        return _UNKNOWN
    _, made = recipe.resolve(recipe.fields_of(config), config.teacher.to_dict())
    if made.is_generated:
        # A generator of somebody's own may have learnt from patients.
        return _GENERATED if made.generator == "phantom" else _UNKNOWN
    return _RECORDED.get(made.source, _UNKNOWN)


def _card(config: ml_collections.ConfigDict, student: LoadedNetwork) -> hub.Card:
    """What is known of the weights: of which data they are, and how good they are."""
    shipped_ones = {shipped.load_student(name).fingerprint: name for name in shipped.STUDENTS}
    if student.fingerprint in shipped_ones:
        data, licence = _GENERATED
        name = f"echodfkd-{shipped_ones[student.fingerprint]}"
    elif student.step is not None:
        run = config.student.weights or config.workdir
        data, licence = _made_of(run_config.load(run))
        name = f"echodfkd-{files.absolute(run).name}"
    else:
        (data, licence), name = _UNKNOWN, f"echodfkd-{files.path_of(student.source).stem}"
    return hub.Card(name, licence, f"Trained on {data}.", _scores(config.workdir, student))


def _scores(workdir: str, student: LoadedNetwork) -> list[hub.Score]:
    """Of the evaluations in the run's folder that are of these very weights."""
    scores = []
    for folder in evaluations.all_folders(workdir):
        metrics = evaluations.read_metrics(folder)
        if metrics.get("models", {}).get("student") != student.fingerprint:
            continue
        for section, pattern, heading, decimals in table.rows(metrics):
            name = pattern.format("student")
            found = table.entry(metrics, section, name)
            if found is not None:
                value, text = float(found["value"]), table.format_entry(found, decimals)
                made = hub.Score(name, heading, metrics["name"], value, text, str(found["count"]))
                scores.append(made)
    return scores
