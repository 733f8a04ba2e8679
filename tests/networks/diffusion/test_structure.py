"""Normalisations, attentions and convolutions are those of the published modules, by name."""

import json
import re

import flax.linen as nn
import jax
import numpy as np
import pytest

from echodfkd_jax.interop.generators import PUBLISHED
from echodfkd_jax.networks.diffusion.blocks import ImageAttention
from echodfkd_jax.networks.diffusion.layers import LAYER_NORM_EPSILON, TimeConv3
from echodfkd_jax.networks.diffusion.transformer import Attention
from echodfkd_jax.networks.layers import BATCH_NORM_EPSILON, BatchNorm, Conv3x3
from tests.networks.diffusion import golden

MODULES = json.loads((golden.TESTDATA / "modules.json").read_text())
NAMES = {
    "autoencoder": "vae",
    "latent_image": "lidm",
    "latent_video": "lvdm",
    "pixel_image": "diffecho",
    "reidentification": "siamese",
    "ejection_fraction": "r2plus1d",
}


def norm_of(module, channels):
    if isinstance(module, nn.GroupNorm):
        return ["group", module.num_groups, channels, module.epsilon]
    if isinstance(module, nn.LayerNorm):
        return ["layer", 1, channels, module.epsilon]
    return ["batch", 0, channels, BATCH_NORM_EPSILON] if isinstance(module, BatchNorm) else None


def conv_of(module):
    if isinstance(module, Conv3x3):
        return [[3, 3], [1, 1], [1, 1]]
    if isinstance(module, TimeConv3):
        return [[3, 1, 1], [1, 1, 1], [1, 0, 0]]
    if not isinstance(module, nn.Conv):
        return None
    strides = np.broadcast_to(module.strides, len(module.kernel_size)).tolist()
    if max(*module.kernel_size, *strides) == 1:
        return None  # Linear in every pixel: not recorded.
    return [list(module.kernel_size), strides, [before for before, _ in module.padding]]


def attention_of(module, x, context=None, *_):
    if not isinstance(module, ImageAttention | Attention):
        return None
    of_images = isinstance(module, ImageAttention)
    channels = x.shape[-1]
    heads = channels // (module.head_width or channels) if of_images else module.heads
    params = module.variables["params"]
    return {
        "heads": heads,
        "width": channels // heads,
        "scale": pytest.approx((channels // heads) ** -0.5),
        "qkv_bias": all("bias" in params[f"to_{name}"] for name in "qkv"),
        "out_bias": "bias" in params["to_out_0"],
        "residual_inside": of_images,
        "context": channels if context is None else context.shape[-1],
    }


def structure_of(network, shapes):
    """What every module of a network is, by its PyTorch name; computes nothing."""
    found = {"norms": {}, "attention": {}, "convs": {}}

    def look(call, args, kwargs, context):
        outputs = call(*args, **kwargs)
        module = context.module
        if context.method_name == "__call__":
            name = re.sub(r"(?<!linear)_(\d+)", r".\1", ".".join(module.path))
            kinds = {
                "norms": norm_of(module, args[0].shape[-1]),
                "attention": attention_of(module, *args),
                "convs": conv_of(module),
            }
            for kind, value in kinds.items():
                if value is not None:
                    found[kind][name.removeprefix("model.")] = value
        return outputs

    with nn.intercept_methods(look):
        golden.template(network, *shapes)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_modules_are_the_published_ones(name):
    published = PUBLISHED[name]
    shapes = [jax.ShapeDtypeStruct(shape, np.float32) for shape in published.inputs]
    for kind, found in structure_of(published.network({}), shapes).items():
        wanted = {
            module: group["value"]
            for group in MODULES[NAMES[name]][kind]
            for module in group["names"]
        }
        assert found.keys() == wanted.keys(), kind
        for module, value in wanted.items():
            assert found[module] == value, module


def test_layer_norms_have_pytorchs_epsilon():
    assert LAYER_NORM_EPSILON == 1e-5
