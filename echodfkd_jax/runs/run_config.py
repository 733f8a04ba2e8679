"""The resolved configuration of a run, `<workdir>/config.json`, and whether it may be continued."""

import json
from typing import Any

import ml_collections
from etils import epath

from echodfkd_jax import files
from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE, check_structures
from echodfkd_jax.settings import SECTIONS

# A run cannot be continued with other values of what decides the weights.
_FIELDS = ("seed", "structures")
_FIXED = (*_FIELDS, *(section.section for section in SECTIONS if section.decides_weights))
_RESUMABLE = frozenset().union(*(section.resumable() for section in SECTIONS))


def path(workdir: files.PathLike) -> epath.Path:
    """Where a run's configuration is."""
    return files.path_of(workdir) / "config.json"


def save(config: ml_collections.ConfigDict) -> None:
    """Writes `config` into its own `config.workdir`, whole or not at all.

    Raises:
        UserError: the folder cannot be written.
    """
    files.write_json(path(config.workdir), config.to_dict(), indent=2)


def load(workdir: files.PathLike) -> ml_collections.ConfigDict:
    """Reads the configuration of a run, locked.

    Raises:
        UserError: there is none, or it is not readable.
    """
    try:
        fields = files.read_json(path(workdir), "train into another config.workdir")
        for section in _FIXED:
            if section not in _FIELDS and not isinstance(fields.get(section, {}), dict):
                raise ValueError(f"{section} is not an object")
        fields.setdefault("structures", list(LV_ALONE))
        return ml_collections.ConfigDict(fields).lock()
    except FileNotFoundError as error:
        raise UserError(f"{path(workdir)} is missing; run --stage=train first") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{path(workdir)}: cannot be read ({error})") from error


def network_fields(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """What `build_model` takes of a configuration: `config.model` and `config.structures`.

    Raises:
        UserError: the structures cannot be.
    """
    structures = check_structures(config.get("structures", LV_ALONE))
    fields = config.model.to_dict()
    return fields if structures == LV_ALONE else {**fields, "structures": structures}


def deciding(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """The fields that decide the weights, `{"train.batch_size": 8, ...}`."""
    return {field: value for field, value in _flat(config).items() if field.split(".")[0] in _FIXED}


def check_same(config: ml_collections.ConfigDict, saved: ml_collections.ConfigDict) -> None:
    """Refuses to continue a run with a configuration that would give other weights.

    Raises:
        UserError: names the first field that differs, with both values.
    """
    now, then = _flat(config), _flat(saved)
    # The network's name first: on it depends which fields there are.
    for field in sorted(now.keys() | then.keys(), key=lambda field: (field != "model.name", field)):
        if field.split(".")[0] not in _FIXED or _is_resumable(field, now):
            continue
        if field not in now or field not in then:
            raise UserError(
                f"{config.workdir} {'has' if field in then else 'lacks'} config.{field}: another "
                "version of echodfkd_jax began it; go on with that one, or set another "
                "config.workdir"
            )
        if now[field] != then[field]:
            raise UserError(
                f"config.{field}={now[field]!r}, but {config.workdir} was trained with "
                f"{then[field]!r}; set it back, or set another config.workdir"
            )


def _is_resumable(field: str, now: dict[str, Any]) -> bool:
    # A cosine ends where the last epoch ends, so there the number of epochs is no longer free.
    if field == "train.num_epochs" and now.get("train.schedule") == "cosine":
        return False
    return field in _RESUMABLE


def _flat(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """`{"train.batch_size": 8, ...}` with the types that JSON knows."""
    plain = json.loads(json.dumps(config.to_dict()))
    flat: dict[str, Any] = {}
    for section, value in plain.items():
        if isinstance(value, dict):
            flat.update({f"{section}.{field}": item for field, item in value.items()})
        else:
            flat[section] = value
    return flat
