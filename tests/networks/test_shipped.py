import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.networks import ConvLSTMUNet, shipped
from echodfkd_jax.networks.safetensors import save_variables
from echodfkd_jax.networks.shipped import load_student
from tests import factories

FIELDS = {"name": "convlstm", "blocks": 1, "layers": 1, "filters": 2, "subsampling": 2}


def save(path, fields):
    model = ConvLSTMUNet(1, 1, 2, subsampling=2)
    variables = factories.random_weights(model, jnp.zeros((1, 1, 8, 8, 1)))
    save_variables(path, variables, {"model": json.dumps(fields)})
    return variables


def test_a_file_says_what_network_it_is(tmp_path):
    variables = save(tmp_path / "a.safetensors", FIELDS)
    student = load_student(tmp_path / "a.safetensors")
    assert student.model == ConvLSTMUNet(1, 1, 2, subsampling=2)
    jax.tree.map(np.testing.assert_array_equal, dict(student.variables), dict(variables))


def test_the_shipped_file_is_the_default(tmp_path, monkeypatch):
    save(tmp_path / "student.safetensors", FIELDS)
    monkeypatch.setitem(shipped.STUDENTS, "best", tmp_path / "student.safetensors")
    assert load_student().model.subsampling == 2


def test_the_small_one_has_a_quarter_of_the_weights_or_fewer():
    best, small = (
        sum(leaf.size for leaf in jax.tree.leaves(load_student(name).variables["params"]))
        for name in ("best", "small")
    )
    assert 0 < 4 * small <= best


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({**FIELDS, "name": "unet"}, "'unet', not the student's 'convlstm'"),
        ({**FIELDS, "depth": 3}, "does not describe a network .*depth"),
        ({**FIELDS, "filters": 3}, "expected float32"),
    ],
)
def test_files_of_other_networks_are_refused(tmp_path, fields, message):
    save(tmp_path / "a.safetensors", fields)
    with pytest.raises(UserError, match=message):
        load_student(tmp_path / "a.safetensors")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.safetensors"):
        load_student(tmp_path / "nowhere.safetensors")
