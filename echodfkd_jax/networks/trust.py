"""A small network that looks at frames and at an outline of them, and says where that is wrong.

It sees a mask cut at one half, so that it may judge anybody's: how sure another network is of its
pixels, and how well that is calibrated, has no part in it.
"""

import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from echodfkd_jax import files
from echodfkd_jax.errors import UserError
from echodfkd_jax.networks.layers import (
    average_pool,
    convolve_twice,
    max_pool_2x2,
    resize_bilinear,
    standardise,
    torch_uniform,
    upsample_nearest_2x,
)
from echodfkd_jax.networks.loaded import weights_fingerprint
from echodfkd_jax.networks.safetensors import check_tree, load_variables
from echodfkd_jax.networks.shipped import TRUST

# Frames in a compiled call.
CHUNK_FRAMES = 32
# It was trained on frames of this size, and judges no others.
SIDE_PX = 112


class TrustNet(nn.Module):
    """A small U-Net that is shown a frame, frames around it, and a mask.

    It works at a quarter of the resolution: an outline that is off by a pixel changes how grey a
    place is and how much of it is inside, and both are still seen there.

    Attributes:
        channels: width of each level, finest first.
        context: frames shown beside each, by their distance in frames (negative: before it).
        subsampling: s averages s x s pixels first and enlarges the logits bilinearly.
    """

    channels: tuple[int, ...] = (12, 24, 40)
    context: tuple[int, ...] = (-8, -4, 4, 8)
    subsampling: int = 4

    @nn.compact
    def __call__(
        self,
        shown: Float[Array, "n h w c"],
        mask: Float[Array, "n h w"],
        *,
        train: bool = False,
    ) -> Float[Array, "n h w"]:
        """Where the ventricle is, given what somebody says of it.

        Args:
            shown: a frame 0..255 and, as further channels, those of `context` in their order.
            mask: what is said of the frame, 0 or 1.
            train: normalise with the batch's statistics and update the running ones.

        Returns:
            Logits that a pixel is inside.
        """
        n, height, width, count = shown.shape
        each = shown.transpose(0, 3, 1, 2).reshape(-1, height, width, 1)
        grey = standardise(average_pool(each, self.subsampling))
        grey = grey.reshape(n, count, *grey.shape[1:3]).transpose(0, 2, 3, 1)
        hidden = jnp.concatenate([grey, average_pool(mask[..., None], self.subsampling)], -1)
        skips = []
        for level, features in enumerate(self.channels):
            if level:
                hidden = max_pool_2x2(hidden)
            hidden = convolve_twice(self, hidden, features, f"down_{level}", train=train)
            skips.append(hidden)
        for level in reversed(range(len(self.channels) - 1)):
            hidden = jnp.concatenate([skips[level], upsample_nearest_2x(hidden)], -1)
            features = self.channels[level]
            hidden = convolve_twice(self, hidden, features, f"up_{level}", train=train)
        init = torch_uniform(self.channels[0])
        logits = nn.Dense(1, kernel_init=init, bias_init=init, name="head")(hidden)
        return resize_bilinear(logits, self.subsampling)[..., 0]


def overlap(probability: Float[Array, "n h w"], mask: Float[Array, "n h w"]) -> Float[Array, "n"]:
    """Dice of a mask with what is inside by this probability; 0 of an empty mask."""
    both, sums = (probability * mask).sum((1, 2)), probability.sum((1, 2)) + mask.sum((1, 2))
    return 2 * both / jnp.maximum(sums, 1.0)


@dataclasses.dataclass(frozen=True, eq=False)
class TrustNetwork:
    """The network with its weights.

    Attributes:
        model: the network.
        variables: `params` and `batch_stats`.
        calibration: what its numbers mean, see `measurement.trust.Calibration.of`.
        metadata: of the file besides.
    """

    model: TrustNet
    variables: Mapping[str, Any]
    calibration: Mapping[str, Any]
    metadata: Mapping[str, str]

    @functools.cached_property
    def fingerprint(self) -> str:
        """`trust-<12 hex>`, of all weights and the calibration."""
        table = np.frombuffer(json.dumps(self.calibration, sort_keys=True).encode(), np.uint8)
        return weights_fingerprint("trust", {**self.variables, "calibration": table})


def init_variables(model: TrustNet, seed: int) -> Mapping[str, Any]:
    """Random weights."""
    shown = jnp.zeros((1, SIDE_PX, SIDE_PX, 1 + len(model.context)))
    return model.init(jax.random.key(seed), shown, shown[..., 0])


@functools.lru_cache(maxsize=2)
def load_trust(path: files.PathLike = TRUST) -> TrustNetwork:
    """Loads the shipped network, or one from a safetensors file.

    Raises:
        UserError: the file is missing, damaged, or holds another network.
    """
    variables, metadata = load_variables(path)
    try:
        fields = json.loads(metadata["model"])
        if fields.pop("name") != "trust":
            raise ValueError("the network is another one")
        lists: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        model = TrustNet(**lists)
        calibration = json.loads(metadata["calibration"])
        expected = jax.eval_shape(functools.partial(init_variables, model, 0))
    except jax.errors.JaxRuntimeError:
        raise  # Of the device, not of the file.
    except Exception as error:  # Fields from outside fail in as many ways as a network has lines.
        raise UserError(
            f"{path}: the header does not describe a network that judges outlines "
            f"({str(error)[:200]}); `python -m experiments.trust` writes one"
        ) from error
    check_tree(path, variables, expected)
    return TrustNetwork(model, variables, calibration, metadata)


def where_inside(
    network: TrustNetwork,
    frames: UInt8[np.ndarray, "t h w"],
    mask: Bool[np.ndarray, "t h w"],
    at: Int[np.ndarray, "n"] | None = None,
) -> UInt8[np.ndarray, "n h w"]:
    """Where the ventricle is to this network, having seen the frames and somebody's mask of them.

    Args:
        network: any.
        frames: grey frames in time order, 112 x 112.
        mask: of every frame.
        at: which of them are looked at; None: all.

    Returns:
        round(255 * probability), of those that are looked at.

    Raises:
        ValueError: frames of another size.
    """
    if frames.shape[1:] != (SIDE_PX, SIDE_PX):
        raise ValueError(f"frames are {frames.shape[1:]}; expected {SIDE_PX} x {SIDE_PX}")
    at = np.arange(len(frames)) if at is None else at
    found = [np.zeros((0, SIDE_PX, SIDE_PX), np.uint8)]
    for first in range(0, len(at), CHUNK_FRAMES):
        # What fills the last chunk up is thrown away.
        some = at[np.minimum(np.arange(first, first + CHUNK_FRAMES), len(at) - 1)]
        shown = beside(frames, some, network.model.context)
        inside = _where_inside(network.model, network.variables, shown, mask[some])
        found.append(np.asarray(inside)[: len(at) - first])
    return np.concatenate(found)


def beside(
    frames: UInt8[np.ndarray, "t h w"], at: np.ndarray, context: tuple[int, ...]
) -> UInt8[np.ndarray, "n h w c"]:
    """Some frames with those of their context as channels; a clip's ends stand for those beyond."""
    offsets = np.array((0, *context))
    places = np.clip(np.asarray(at)[:, None] + offsets, 0, len(frames) - 1)
    return np.moveaxis(frames[places], 1, -1)


@functools.partial(jax.jit, static_argnums=0)
def _where_inside(
    model: TrustNet, variables: Mapping[str, Any], shown: Array, mask: Array
) -> UInt8[Array, "n h w"]:
    logits = model.apply(variables, shown.astype(jnp.float32), mask.astype(jnp.float32))
    return jnp.round(255 * jax.nn.sigmoid(cast(Array, logits))).astype(jnp.uint8)
