import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.torch_student import from_torch, size_of, to_torch
from echodfkd_jax.networks import ConvLSTMUNet
from echodfkd_jax.networks.safetensors import check_tree
from tests.networks.golden_student import load_golden

SIZE = {"blocks": 2, "layers": 2}


@pytest.fixture
def state_dict():
    return dict(load_golden("student_22_filters4").state_dict)


def test_variables_are_those_of_the_model(state_dict):
    model = ConvLSTMUNet(**SIZE, filters=4)
    expected = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 1, 2, 2, 1)))
    check_tree("golden", from_torch(state_dict, **SIZE, filters=4), expected)


def test_there_and_back_is_the_same_state_dict(state_dict):
    back = to_torch(from_torch(state_dict, **SIZE, filters=4), **SIZE)
    assert back.keys() == state_dict.keys()
    for key, value in back.items():
        if not key.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(value, state_dict[key])


@pytest.mark.parametrize(
    "name", ["student_11_filters4", "student_22_filters4", "student_31_filters12"]
)
def test_size_is_read_from_the_state_dict(name):
    golden = load_golden(name)
    size = {"blocks": golden.blocks, "layers": golden.layers, "filters": golden.filters}
    assert size_of(golden.state_dict) == size


def test_a_state_dict_of_something_else_has_no_size():
    with pytest.raises(UserError, match=r"cell.conv.bias is missing; expected a student"):
        size_of({"backbone.conv1.weight": np.zeros(3)})


def test_prefix_is_optional(state_dict):
    bare = {key.removeprefix("model."): value for key, value in state_dict.items()}
    variables = from_torch(bare, **SIZE, filters=4)
    assert to_torch(variables, **SIZE, prefix="").keys() == bare.keys()


def test_missing_entry_is_named(state_dict):
    del state_dict["model.output_layer.layer.bias"]
    with pytest.raises(UserError, match=r"output_layer.layer.bias is missing"):
        from_torch(state_dict, **SIZE, filters=4)


def test_student_of_another_size_is_named(state_dict):
    with pytest.raises(UserError, match=r"is not part of a student with blocks=1, layers=2"):
        from_torch(state_dict, blocks=1, layers=2, filters=4)


def test_wrong_shape_is_named(state_dict):
    with pytest.raises(UserError, match=r"cell.conv.bias has shape \(16,\), but .* needs \(48,\)"):
        from_torch(state_dict, **SIZE, filters=12)


def test_extra_variable_is_named(state_dict):
    variables = from_torch(state_dict, **SIZE, filters=4)
    with pytest.raises(UserError, match=r"cell_norm_0_1/mean is extra for k=2, n=1"):
        to_torch(variables, blocks=2, layers=1)


def test_missing_variable_is_named(state_dict):
    variables = from_torch(state_dict, **SIZE, filters=4)
    with pytest.raises(UserError, match=r"cell_0_2/kernel is missing"):
        to_torch(variables, blocks=2, layers=3)


def test_a_block_that_nothing_leads_to_is_refused():
    key = "conv_lstm_blocks.{}.conv_lstm_layers.0.cell.conv.bias"
    state = {key.format(0): np.zeros(16), key.format(999): np.zeros(16)}
    with pytest.raises(UserError, match="2 ConvLSTM layers, numbered as if they were 1000"):
        size_of(state)
