import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.torch_modules import (
    torch_from_variables,
    torch_key,
    variables_from_torch,
)

FROM = {"source": "x", "network": "a test"}
TEMPLATE = {
    "params": {"layer1_0": {"conv1": {"kernel": np.zeros((3, 2, 4, 5), np.float32)}}},
    "batch_stats": {"bn1": {"mean": np.zeros(5, np.float32)}},
}


def state_dict():
    return {
        "layer1.0.conv1.weight": np.arange(120.0).reshape(5, 4, 3, 2),
        "bn1.running_mean": np.arange(5.0),
        "bn1.num_batches_tracked": np.array(7),
    }


def test_names_follow_torchvision():
    assert torch_key(("params", "classifier_0", "convs_4_1", "kernel")) == (
        "classifier.0.convs.4.1.weight"
    )
    assert torch_key(("params", "down_blocks_0", "linear_1", "kernel")) == (
        "down_blocks.0.linear_1.weight"
    )
    assert torch_key(("batch_stats", "layer3_0", "bn1", "var")) == "layer3.0.bn1.running_var"


def test_kernels_become_height_width_in_out():
    torch = state_dict()["layer1.0.conv1.weight"]
    kernel = variables_from_torch(state_dict(), TEMPLATE, **FROM)["params"]["layer1_0"]["conv1"][
        "kernel"
    ]
    assert kernel.shape == (3, 2, 4, 5)
    assert kernel.dtype == np.float32
    assert kernel[2, 1, 3, 4] == torch[4, 3, 2, 1] == 119
    assert kernel[0, 1, 0, 0] == torch[0, 0, 0, 1] == 1


def test_there_and_back_is_the_same_state_dict():
    back = torch_from_variables(variables_from_torch(state_dict(), TEMPLATE, **FROM))
    assert back.keys() == state_dict().keys()
    for key in ("layer1.0.conv1.weight", "bn1.running_mean"):
        np.testing.assert_array_equal(back[key], state_dict()[key])


def test_dense_and_clip_kernels_too():
    shapes = {"linear": (2, 3), "clip": (1, 2, 3, 4, 5)}
    template = {"params": {name: {"kernel": np.zeros(shape)} for name, shape in shapes.items()}}
    torch = {
        "linear.weight": np.arange(6.0).reshape(3, 2),
        "clip.weight": np.arange(120.0).reshape(5, 4, 1, 2, 3),
    }
    params = variables_from_torch(torch, template, **FROM)["params"]
    assert params["linear"]["kernel"][1, 2] == torch["linear.weight"][2, 1]
    assert params["clip"]["kernel"][0, 1, 2, 3, 4] == torch["clip.weight"][4, 3, 0, 1, 2]


def test_long_lists_of_names_are_cut():
    many = state_dict() | {f"head{i}.bias": np.zeros(1) for i in range(7)}
    with pytest.raises(UserError, match=r"head0\.bias, .*head4\.bias and 2 more; expected"):
        variables_from_torch(many, TEMPLATE, **FROM)


def test_an_empty_file_misses_everything():
    with pytest.raises(UserError, match=r"no entry bn1\.num_batches_tracked, bn1\.running_mean"):
        variables_from_torch({}, TEMPLATE, **FROM)
