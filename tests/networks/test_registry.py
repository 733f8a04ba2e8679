import json

import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.networks import ConvLSTMUNet
from echodfkd_jax.networks.registry import build_model, describe_model


def test_convlstm_by_name():
    assert build_model("convlstm", blocks=3, layers=1) == ConvLSTMUNet(blocks=3, layers=1)


def test_description_makes_the_same_model():
    model = build_model("unet", channels=[2, 4], subsampling=2, axis_name="data")
    fields = json.loads(describe_model(model))
    assert fields == {"name": "unet", "channels": [2, 4], "subsampling": 2, "context": []}
    assert build_model(**fields).channels == (2, 4)


def test_unknown_name_is_an_error():
    with pytest.raises(UserError, match=r"config.model.name='vit' is unknown; use one of"):
        build_model("vit")


def test_unknown_field_is_an_error():
    with pytest.raises(UserError, match=r"config.model.depth is no field of model 'convlstm'"):
        build_model("convlstm", blocks=1, layers=1, depth=3)


def test_missing_field_is_an_error():
    with pytest.raises(UserError, match=r"config.model \('convlstm'\) lacks a field: .*layers"):
        build_model("convlstm", blocks=1)


def test_another_type_of_numbers_is_an_error():
    with pytest.raises(
        UserError, match=r"config.model.dtype='float16': expected 'auto' or 'float32' or"
    ):
        build_model("convlstm", blocks=1, layers=1, dtype="float16")
