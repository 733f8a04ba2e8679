"""Published checkpoints of the learned generators and of the networks around them.

Their entries are called as diffusers and torchvision call them. Early versions of diffusers had
other names in attentions, and latent diffusion's own code (CompVis) has other names for all of an
auto-encoder. Every entry is used; a file with one too many is refused like one that lacks one.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from echodfkd_jax import files
from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.torch_checkpoint import read_state_dict
from echodfkd_jax.interop.torch_modules import variables_from_torch
from echodfkd_jax.networks.diffusion.autoencoder import FrameAutoencoder
from echodfkd_jax.networks.diffusion.image_unet import DIFFECHO, ImageUNet
from echodfkd_jax.networks.diffusion.r2plus1d import R2Plus1D
from echodfkd_jax.networks.diffusion.reidentification import ReidentificationNetwork
from echodfkd_jax.networks.diffusion.video_unet import VideoUNet

_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_COMPVIS_ATTENTION = {
    **{"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v"},
    "proj_out": "to_out.0",
}
_COMPVIS_LEVEL = re.compile(r"(encoder\.down|decoder\.up)\.(\d{1,2})\.(block\.|\w+sample\.)")
# The discriminator and the perceptual loss that an auto-encoder was trained with, in its file.
_COMPVIS_TRAINING = "loss."


class Published(NamedTuple):
    """A network of which checkpoints are published.

    Attributes:
        description: what a file should hold.
        network: makes it, to suit a state dict.
        inputs: shapes of what it is called with; all are float32.
    """

    description: str
    network: Callable[[Mapping[str, np.ndarray]], nn.Module]
    inputs: tuple[tuple[int, ...], ...]


def load_published(name: str, path: files.PathLike) -> tuple[nn.Module, dict[str, Any]]:
    """A published network and its variables.

    Args:
        name: one of `PUBLISHED`.
        path: its checkpoint, of a kind that `torch_checkpoint.read_state_dict` reads.

    Raises:
        UserError: an unknown name; the file is missing or damaged, or an entry in it is missing,
            left over or of another shape.
    """
    if name not in PUBLISHED:
        raise UserError(f"network {name!r}: expected one of {', '.join(PUBLISHED)}")
    return published_from_state_dict(name, read_state_dict(path), source=str(path))


def published_from_state_dict(
    name: str, state_dict: Mapping[str, np.ndarray], *, source: str
) -> tuple[nn.Module, dict[str, Any]]:
    """`load_published` of what is in memory.

    Args:
        name: one of `PUBLISHED`.
        state_dict: arrays by key.
        source: where they come from, for errors.
    """
    published = PUBLISHED[name]
    state_dict = with_todays_names(state_dict, source=source)
    network = published.network(state_dict)
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in published.inputs]
    template = jax.eval_shape(network.init, jax.random.key(0), *shapes)
    variables = variables_from_torch(
        state_dict, template, source=source, network=published.description
    )
    return network, variables


def with_todays_names(
    state_dict: Mapping[str, np.ndarray], *, source: str
) -> dict[str, np.ndarray]:
    """The entries under the names that diffusers gives them today.

    Args:
        state_dict: arrays by key, of diffusers new or old, or of CompVis' auto-encoder.
        source: where they come from, for errors.

    Returns:
        The same arrays. Attentions' weights that were 1x1 convolutions become matrices, and what
        CompVis keeps of the training (`loss.*`) is left out.

    Raises:
        UserError: two entries have the same name today.
    """
    levels = [int(match[2]) for key in state_dict if (match := _COMPVIS_LEVEL.match(key))]
    renamed: dict[str, np.ndarray] = {}
    for key, value in state_dict.items():
        if levels and key.startswith(_COMPVIS_TRAINING):
            continue
        new = _from_compvis(key, max(levels)) if levels else _from_old_diffusers(key)
        if new in renamed:
            raise UserError(f"{source}: {key} and another entry are both {new}; expected one")
        if re.search(r"attentions\.\d+\.to_\w+(\.0)?\.weight$", new) and value.ndim == 4:
            value = value.reshape(value.shape[:2]) if value.shape[2:] == (1, 1) else value
        renamed[new] = value
    return renamed


def _from_old_diffusers(key: str) -> str:
    return re.sub(
        r"(attentions\.\d+)\.(query|key|value|proj_attn)\.",
        lambda match: f"{match[1]}.{_OLD_ATTENTION[match[2]]}.",
        key,
    )


def _from_compvis(key: str, last: int) -> str:
    def level(match: re.Match[str]) -> str:
        tower, index = match[1], int(match[2])
        name = "encoder.down_blocks" if tower == "encoder.down" else "decoder.up_blocks"
        index = index if tower == "encoder.down" else last - index
        part = {"block.": "resnets."}.get(match[3], f"{match[3].removesuffix('.')}rs.0.")
        return f"{name}.{index}.{part}"

    key = _COMPVIS_LEVEL.sub(level, key)
    key = re.sub(
        r"mid\.attn_1\.(\w+)\.",
        lambda match: f"mid_block.attentions.0.{_COMPVIS_ATTENTION.get(match[1], match[1])}.",
        key,
    )
    key = re.sub(
        r"mid\.block_([12])\.", lambda match: f"mid_block.resnets.{int(match[1]) - 1}.", key
    )
    key = key.replace(".nin_shortcut.", ".conv_shortcut.")
    return re.sub(r"^(encoder|decoder)\.norm_out\.", r"\1.conv_norm_out.", key)


def _autoencoder(state_dict: Mapping[str, np.ndarray]) -> FrameAutoencoder:
    """The auto-encoder of the widths that the entries have; published ones have several."""
    widths = []
    while True:
        entry = state_dict.get(f"encoder.down_blocks.{len(widths)}.resnets.0.conv1.weight")
        if entry is None or entry.ndim != 4:
            break
        widths.append(entry.shape[0])
    groups = FrameAutoencoder.norm.groups
    if not widths or any(width % groups or not width for width in widths):
        return FrameAutoencoder()  # Nothing fits; the published one says what is missing.
    return FrameAutoencoder(widths=tuple(widths))


PUBLISHED = {
    "autoencoder": Published(
        "a frame auto-encoder (AutoencoderKL of diffusers, or of CompVis)",
        _autoencoder,
        ((1, 32, 32, 3), (1, 4, 4, 4)),
    ),
    "latent_image": Published(
        "EchoNet-Synthetic's latent image model (UNet2DModel of diffusers)",
        lambda _: ImageUNet(),
        ((1, 16, 16, 4), (1,)),
    ),
    "latent_video": Published(
        "EchoNet-Synthetic's latent video model (UNetSpatioTemporalConditionModel of diffusers)",
        lambda _: VideoUNet(),
        ((1, 2, 16, 16, 8), (1,), (1, 1, 1)),
    ),
    "pixel_image": Published(
        "DiffEcho's unconditional pixel model (UNet2DModel of diffusers)",
        lambda _: ImageUNet(**DIFFECHO),
        ((1, 32, 32, 1), (1,)),
    ),
    "reidentification": Published(
        "EchoNet-Synthetic's re-identification network (torchvision's resnet50 for 4 channels)",
        lambda _: ReidentificationNetwork(),
        ((1, 14, 14, 4), (1, 14, 14, 4)),
    ),
    "ejection_fraction": Published(
        "an ejection-fraction regressor (torchvision's r2plus1d_18 with one output)",
        lambda _: R2Plus1D(),
        ((1, 8, 32, 32, 3),),
    ),
}
