import re

import jax
import numpy as np
import pytest
import safetensors.numpy

from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.generators import (
    PUBLISHED,
    load_published,
    published_from_state_dict,
    with_todays_names,
)
from echodfkd_jax.interop.torch_modules import torch_from_variables
from echodfkd_jax.networks.diffusion.autoencoder import FrameAutoencoder
from tests.networks.diffusion import golden

FILES = {
    "autoencoder": "vae",
    "latent_image": "lidm",
    "latent_video": "lvdm",
    "pixel_image": "diffecho_unet",
    "reidentification": "siamese",
    "ejection_fraction": "r2plus1d_18",
}


def placeholders(name):
    """A state dict of the right shapes that takes no memory."""
    return {
        key: np.broadcast_to(np.float32(0), shape)
        for key, shape in golden.shapes(FILES[name]).items()
    }


def compvis_key(key):
    """What latent diffusion's own code calls an entry of a four-level auto-encoder."""
    key = re.sub(r"decoder\.up_blocks\.(\d)", lambda m: f"decoder.up.{3 - int(m[1])}", key)
    key = re.sub(r"encoder\.down_blocks\.(\d)", r"encoder.down.\1", key)
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", key)
    key = key.replace("mid_block.attentions.0", "mid.attn_1").replace("resnets.", "block.")
    key = re.sub(r"samplers\.0\.", "sample.", key).replace("conv_norm_out", "norm_out")
    for new, old in {"group_norm": "norm", "to_out.0": "proj_out", "to_": ""}.items():
        key = key.replace(f"attn_1.{new}", f"attn_1.{old}")
    return key.replace("conv_shortcut", "nin_shortcut")


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_every_published_entry_has_its_place(name):
    state = placeholders(name)
    _, variables = published_from_state_dict(name, state, source="x")
    back = {key: value.shape for key, value in torch_from_variables(variables).items()}
    assert back == golden.shapes(FILES[name])


def test_every_published_network_is_tested():
    assert PUBLISHED.keys() == FILES.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_missing_extra_and_misshapen_entries_are_refused_by_name(name):
    state = placeholders(name)
    key = list(state)[len(state) // 2]
    missing = {k: v for k, v in state.items() if k != key}
    with pytest.raises(UserError, match=rf"^x\.bin has no entry {re.escape(key)}; expected the"):
        published_from_state_dict(name, missing, source="x.bin")
    with pytest.raises(UserError, match=r"^x\.bin has entries that the network lacks: ema\.w;"):
        published_from_state_dict(name, {**state, "ema.w": np.zeros(1)}, source="x.bin")
    wrong = {**state, key: np.zeros((7, 7, 7))}
    with pytest.raises(UserError, match=rf"^x\.bin: {re.escape(key)} has shape \(7, 7, 7\), exp"):
        published_from_state_dict(name, wrong, source="x.bin")


@pytest.mark.parametrize("name", ["autoencoder", "latent_image", "pixel_image"])
def test_old_names_of_attentions_are_those_of_today(name):
    new = placeholders(name)
    old = {
        re.sub(
            r"(attentions\.\d+)\.(to_q|to_k|to_v|to_out\.0)\.",
            lambda m: f"{m[1]}.{dict(zip(OF_TODAY, OF_OLD))[m[2]]}.",
            key,
        ): value
        for key, value in new.items()
    }
    assert old.keys() != new.keys()
    assert list(with_todays_names(old, source="x")) == list(new)


OF_TODAY = ("to_q", "to_k", "to_v", "to_out.0")
OF_OLD = ("query", "key", "value", "proj_attn")


def test_compvis_auto_encoder_is_the_same_network():
    new = placeholders("autoencoder")
    old = {compvis_key(key): value for key, value in new.items()}
    assert "decoder.up.0.block.2.conv1.weight" in old
    assert "encoder.mid.attn_1.proj_out.bias" in old
    assert "encoder.down.1.block.0.nin_shortcut.weight" in old
    for key, value in old.items():
        if "attn_1" in key and value.ndim == 2:
            old[key] = value.reshape(*value.shape, 1, 1)
    old["loss.discriminator.main.0.weight"] = np.zeros(3)
    renamed = with_todays_names(old, source="x")
    assert {key: value.shape for key, value in renamed.items()} == golden.shapes("vae")


def test_compvis_levels_of_the_decoder_count_from_the_finest():
    old = {f"decoder.up.{i}.block.0.norm1.bias": np.full(1, i) for i in range(4)}
    renamed = with_todays_names(old, source="x")
    assert renamed["decoder.up_blocks.0.resnets.0.norm1.bias"] == 3


def test_an_entry_under_both_names_is_refused():
    key = "mid_block.attentions.0.{}.bias"
    twice = {key.format("query"): np.zeros(1), key.format("to_q"): np.zeros(1)}
    with pytest.raises(UserError, match=r"to_q\.bias and another entry are both .*to_q\.bias"):
        with_todays_names(twice, source="x")


def test_widths_of_an_auto_encoder_are_read_from_its_entries():
    network = FrameAutoencoder(widths=(32, 64))
    inputs = golden.normal(0, 1, 4, 4, 3), golden.normal(1, 1, 2, 2, 4)
    shapes = golden.template(network, *inputs)
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
    state = torch_from_variables(variables)
    assert published_from_state_dict("autoencoder", state, source="x")[0] == network


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "vae.safetensors"
    safetensors.numpy.save_file({"a": np.zeros(3, np.float32)}, path)
    with pytest.raises(UserError, match=r"vae\.safetensors has no entry .*frame auto-encoder"):
        load_published("autoencoder", path)


def test_an_unknown_network_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"network 'gan': expected one of autoencoder, latent_im"):
        load_published("gan", tmp_path / "x.safetensors")
