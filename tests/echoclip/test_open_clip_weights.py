import json
import pathlib

import numpy as np
import pytest

from echodfkd_jax.echoclip.architecture import ECHOCLIP, Architecture
from echodfkd_jax.echoclip.open_clip_weights import (
    architecture_from_open_clip,
    params_from_open_clip,
    torch_key,
)
from echodfkd_jax.errors import UserError

TESTDATA = pathlib.Path(__file__).parents[1] / "testdata"
SMALL = Architecture(
    depths=(1, 2), widths=(4, 8), embedding=3, context_length=5, vocabulary=11,
    text_width=64, text_heads=1, text_layers=1,
)  # fmt: skip
FC1 = "visual.trunk.stages.1.blocks.1.mlp.fc1.weight"


def small_state_dict():
    shapes = {
        "positional_embedding": (5, 64),
        "text_projection": (64, 3),
        "logit_scale": (),
        "visual.trunk.stem.0.weight": (4, 3, 4, 4),
        "visual.trunk.stem.0.bias": (4,),
        "visual.trunk.stem.1.weight": (4,),
        "visual.trunk.stem.1.bias": (4,),
        "visual.trunk.stages.1.downsample.0.weight": (4,),
        "visual.trunk.stages.1.downsample.0.bias": (4,),
        "visual.trunk.stages.1.downsample.1.weight": (8, 4, 2, 2),
        "visual.trunk.stages.1.downsample.1.bias": (8,),
        "visual.trunk.head.norm.weight": (8,),
        "visual.trunk.head.norm.bias": (8,),
        "visual.head.proj.weight": (3, 8),
        "token_embedding.weight": (11, 64),
        "ln_final.weight": (64,),
        "ln_final.bias": (64,),
    }
    for block, width in (("0.blocks.0", 4), ("1.blocks.0", 8), ("1.blocks.1", 8)):
        prefix = f"visual.trunk.stages.{block}"
        shapes |= {
            f"{prefix}.gamma": (width,),
            f"{prefix}.conv_dw.weight": (width, 1, 7, 7),
            f"{prefix}.conv_dw.bias": (width,),
            f"{prefix}.norm.weight": (width,),
            f"{prefix}.norm.bias": (width,),
            f"{prefix}.mlp.fc1.weight": (4 * width, width),
            f"{prefix}.mlp.fc1.bias": (4 * width,),
            f"{prefix}.mlp.fc2.weight": (width, 4 * width),
            f"{prefix}.mlp.fc2.bias": (width,),
        }
    prefix = "transformer.resblocks.0"
    shapes |= {
        f"{prefix}.ln_1.weight": (64,),
        f"{prefix}.ln_1.bias": (64,),
        f"{prefix}.attn.in_proj_weight": (192, 64),
        f"{prefix}.attn.in_proj_bias": (192,),
        f"{prefix}.attn.out_proj.weight": (64, 64),
        f"{prefix}.attn.out_proj.bias": (64,),
        f"{prefix}.ln_2.weight": (64,),
        f"{prefix}.ln_2.bias": (64,),
        f"{prefix}.mlp.c_fc.weight": (256, 64),
        f"{prefix}.mlp.c_fc.bias": (256,),
        f"{prefix}.mlp.c_proj.weight": (64, 256),
        f"{prefix}.mlp.c_proj.bias": (64,),
    }
    generator = np.random.default_rng(0)
    return {key: generator.standard_normal(shape) for key, shape in shapes.items()}


def test_values_arrive_in_flax_order():
    state_dict = small_state_dict()
    params = params_from_open_clip(state_dict, SMALL, source="x.bin")
    kernel = params["image"]["stages_1"]["blocks_1"]["mlp_fc1"]["kernel"]
    np.testing.assert_array_equal(kernel, state_dict[FC1].T.astype(np.float32))
    stem = params["image"]["stem_0"]["kernel"]
    expected = state_dict["visual.trunk.stem.0.weight"][3, 2, 1, 0]
    assert stem[1, 0, 2, 3] == np.float32(expected)
    assert params["logit_scale"] == np.float32(state_dict["logit_scale"])


def test_training_prefix_is_accepted():
    prefixed = {f"module.{key}": value for key, value in small_state_dict().items()}
    params = params_from_open_clip(prefixed, SMALL, source="x.bin")
    assert set(params) == {"image", "text", "logit_scale"}


def test_a_missing_entry_is_named():
    state_dict = small_state_dict()
    del state_dict[FC1]
    with pytest.raises(UserError, match=rf"x.bin has no entry {FC1};"):
        params_from_open_clip(state_dict, SMALL, source="x.bin")


def test_an_extra_entry_is_named():
    state_dict = small_state_dict() | {"visual.trunk.extra": np.zeros(1)}
    with pytest.raises(UserError, match=r"the model lacks: visual\.trunk\.extra;"):
        params_from_open_clip(state_dict, SMALL, source="x.bin")


def test_a_wrong_shape_is_named():
    state_dict = small_state_dict() | {FC1: np.zeros((8, 32))}
    with pytest.raises(UserError, match=rf"{FC1} has shape \(8, 32\), expected \(32, 8\)"):
        params_from_open_clip(state_dict, SMALL, source="x.bin")


def test_sizes_are_read_off_the_shapes():
    assert architecture_from_open_clip(small_state_dict(), source="x.bin") == SMALL


def test_a_model_with_another_image_tower_is_refused():
    other = {"visual.conv1.weight": np.zeros(1), "ln_final.weight": np.zeros(1)}
    with pytest.raises(UserError, match=r"x.bin: no open_clip model.*Python class"):
        architecture_from_open_clip(other, source="x.bin")


def test_echoclips_sizes_are_the_default_ones():
    shapes = json.loads((TESTDATA / "echoclip_state_dict.json").read_text())
    # Broadcast views: the shapes without the memory.
    state_dict = {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}
    assert len(state_dict) == 493
    assert architecture_from_open_clip(state_dict, source="x.bin") == ECHOCLIP


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (("logit_scale",), "logit_scale"),
        (("text", "text_projection"), "text_projection"),
        (("text", "token_embedding", "embedding"), "token_embedding.weight"),
        (("image", "head_norm", "scale"), "visual.trunk.head.norm.weight"),
        (("image", "head_proj", "kernel"), "visual.head.proj.weight"),
        (
            ("image", "stages_2", "blocks_11", "conv_dw", "kernel"),
            "visual.trunk.stages.2.blocks.11.conv_dw.weight",
        ),
        (
            ("text", "resblocks_3", "attn_in_proj", "kernel"),
            "transformer.resblocks.3.attn.in_proj_weight",
        ),
        (("text", "resblocks_3", "ln_1", "bias"), "transformer.resblocks.3.ln_1.bias"),
    ],
)
def test_keys(path, key):
    assert torch_key(path) == key
