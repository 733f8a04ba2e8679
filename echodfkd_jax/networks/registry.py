"""Models by name, as they stand in configs and in the header of a weights file."""

import dataclasses
import json
from typing import Any

import flax.linen as nn

from echodfkd_jax import seams
from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE
from echodfkd_jax.networks.blocks import form_of_backend

NETWORKS = {
    "convlstm": "echodfkd_jax.networks.convlstm:ConvLSTMUNet",
    "unet": "echodfkd_jax.networks.unet:UNet",
}
# Fields that say how a model is run, not what its weights are.
_RUN_FIELDS = frozenset({"parent", "name", "axis_name", "dtype", "remat", "form"})
_DTYPES = ("auto", "float32", "bfloat16")
# Smallest and largest value of fields that are sizes; every block halves 112 pixels.
_LIMITS = {
    "blocks": (1, 6),
    "layers": (1, 64),
    "filters": (1, 4096),
    "subsampling": (1, 16),
    "burn_in_frames": (0, 100),
    "context": (-1000, 1000),
    "channels": (1, 4096),
}
# Fields that are lists of these.
_SEVERAL = frozenset({"context", "channels"})


def build_model(name: str, **fields: Any) -> nn.Module:
    """Makes a model that takes video (b, t, h, w, 1) in 0..255 and gives logits (b, t, h, w, s).

    Args:
        name: "convlstm" (the student), "unet" (per frame, the shipped teacher), or
            "package.module:Name" of a flax module with `axis_name` among its fields, and with
            `structures` if it outlines more than the left ventricle.
        **fields: the model's fields; `dtype` "auto" is bfloat16 on accelerators, float32 on CPUs.

    Raises:
        UserError: an unknown name or field, a size that cannot be, or another `dtype` than float32,
            bfloat16 and auto.
    """
    kind = seams.find("config.model.name", name, NETWORKS)
    known = {field.name for field in dataclasses.fields(kind)} - {"parent", "name"}
    if "structures" in fields and "structures" not in known:
        raise UserError(
            f"config.structures={fields['structures']}: model {name!r} has no field `structures`, "
            "so it outlines the left ventricle alone; set config.structures=('lv',)"
        )
    unknown = sorted(fields.keys() - known)
    if unknown:
        raise UserError(
            f"config.model.{unknown[0]} is no field of model {name!r}; it has {sorted(known)}"
        )
    if fields.get("dtype", "float32") not in _DTYPES:
        raise UserError(
            f"config.model.dtype={fields['dtype']!r}: expected {' or '.join(map(repr, _DTYPES))}"
        )
    if fields.get("dtype") == "auto":
        fields["dtype"] = form_of_backend().dtype
    fields = {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
    for field in _LIMITS.keys() & fields.keys():
        (least, most), values = _LIMITS[field], fields[field]
        if (field in _SEVERAL) != isinstance(values, tuple):
            expected = "a list of numbers" if field in _SEVERAL else "one number"
            raise UserError(f"config.model.{field}={values!r}: expected {expected}")
        for value in values if field in _SEVERAL else (values,):
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise UserError(f"config.model.{field}={values!r}: expected {least} to {most}")
    try:
        return kind(**fields)
    except TypeError as error:
        raise UserError(f"config.model ({name!r}) lacks a field: {error}") from error


def describe_model(model: nn.Module) -> str:
    """The JSON that a weights file keeps under "model": `name` and the fields of `build_model`."""
    names = {path: name for name, path in NETWORKS.items()}
    path = f"{type(model).__module__}:{type(model).__qualname__}"
    fields = {
        field.name: getattr(model, field.name)
        for field in dataclasses.fields(model)
        if field.name not in _RUN_FIELDS
    }
    if fields.get("structures") == LV_ALONE:
        del fields["structures"]  # As in the files of networks that know no other.
    return json.dumps({"name": names.get(path, path), **fields})
