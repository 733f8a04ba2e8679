"""What a network sees in clips: the features by which sets of clips are compared.

    own                          the shipped U-Net's encoder
    PATH.onnx, PATH.stablehlo    a network of yours, such as Inception or I3D
    package.module:Name          a class of yours, see `FeatureExtractor`

An ONNX file has one input, float32: pictures (n, c, h, w), or clips (b, c, t, h, w); c is 1 or 3,
and three channels get the grey frame three times. Its first output is (n, d) or (b, d). Entries
`mean` and `std` of its metadata are those of an ONNX teacher. A StableHLO file is a serialised
`jax.export` program of uint8 pictures (n, h, w) or clips (b, t, h, w) that gives float32 (n, d).
"""

import dataclasses
import functools
import hashlib
import math
import pathlib
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, UInt8

from echodfkd_jax import buckets, seams
from echodfkd_jax.errors import UserError
from echodfkd_jax.interop import onnx_session
from echodfkd_jax.networks import shipped
from echodfkd_jax.networks.loaded import LoadedNetwork, load_network, weights_fingerprint
from echodfkd_jax.networks.registry import build_model

OWN = "own"
EXTRACTORS = {OWN: "echodfkd_jax.evaluation.features:own"}
_FIELD = "config.eval.features"


@runtime_checkable
class FeatureExtractor(Protocol):
    """What gives one row of numbers for every clip.

    Attributes:
        fingerprint: tells its features from another one's; distances are of one fingerprint only.
    """

    fingerprint: str

    def __call__(self, clips: UInt8[np.ndarray, "b t h w"]) -> Float32[np.ndarray, "b d"]:
        """Features of grey clips of equal length; a picture is a clip of one frame."""
        ...


def open_extractor(name: str = OWN) -> FeatureExtractor:
    """The network that `config.eval.features` names; see the top of this file.

    Raises:
        UserError: it is unknown, missing or damaged, or takes or gives something else.
    """
    suffix = pathlib.PurePath(name).suffix
    if suffix not in (".onnx", ".stablehlo"):
        return seams.find(_FIELD, name, EXTRACTORS)()
    path = buckets.local_copy(name)
    if not path.is_file():
        raise UserError(f"{_FIELD}={name!r} is no file; expected a network's, or {OWN!r}")
    return OnnxFeatures(path) if suffix == ".onnx" else StableHloFeatures(path)


@dataclasses.dataclass(frozen=True, eq=False)
class EncoderFeatures:
    """The deepest level of a U-Net's encoder: mean over pixels, then mean and deviation over time.

    Attributes:
        network: a U-Net whose first frames' neighbours are within the clip.
    """

    network: LoadedNetwork

    @functools.cached_property
    def fingerprint(self) -> str:
        """See `FeatureExtractor`."""
        return weights_fingerprint("unet-encoder", self.network.variables)

    def __call__(self, clips: UInt8[np.ndarray, "b t h w"]) -> Float32[np.ndarray, "b d"]:
        """See `FeatureExtractor`: twice as many numbers as that level has channels."""
        rows = [np.asarray(self._jitted(clip[None])) for clip in clips]
        return np.concatenate(rows) if rows else np.zeros((0, 2 * self._channels), np.float32)

    @property
    def _channels(self) -> int:
        return self.network.model.channels[-1]

    @functools.cached_property
    def _jitted(self) -> Any:
        model, variables = self.network.model, jax.device_put(self.network.variables)
        deepest = f"down_{len(model.channels) - 1}_1_norm"

        def embed(clips: UInt8[Array, "b t h w"]) -> Float[Array, "b d"]:
            found: Any = model.apply(
                variables,
                clips[..., None].astype(jnp.float32),
                mutable=["intermediates"],
                capture_intermediates=lambda module, _: module.name == deepest,
            )[1]
            (level,) = found["intermediates"][deepest]["__call__"]
            of_frames = jnp.mean(jax.nn.relu(level.astype(jnp.float32)), axis=(1, 2))
            of_frames = of_frames.reshape(*clips.shape[:2], -1)
            return jnp.concatenate([jnp.mean(of_frames, 1), jnp.std(of_frames, 1)], -1)

        return jax.jit(embed)


def own() -> EncoderFeatures:
    """The shipped U-Net, which was trained on generated clips and has seen no recorded one."""
    return EncoderFeatures(load_network(shipped.TEACHER, build_model))


class OnnxFeatures:
    """A network in an ONNX file.

    Attributes:
        fingerprint: hash of the file.
    """

    def __init__(self, path: pathlib.Path) -> None:
        """Opens the file.

        Raises:
            UserError: it is damaged, or takes something else.
        """
        self._path, self._session = path, onnx_session.open_session(path)
        tensors = self._session.get_inputs()
        shape = tuple(tensors[0].shape)
        fits = len(tensors) == 1 and tensors[0].type == "tensor(float)" and len(shape) in (4, 5)
        if not fits or shape[1] not in (1, 3):
            found = [(tensor.type, tuple(tensor.shape)) for tensor in tensors]
            raise UserError(
                f"{path}: inputs {found}; expected one of float32, (n, c, h, w) or (b, c, t, h, w) "
                "with 1 or 3 channels"
            )
        self.fingerprint = _fingerprint("onnx", path)
        self._input, self._of_pictures, channels = tensors[0], len(shape) == 4, shape[1]
        metadata = self._session.get_modelmeta().custom_metadata_map
        self._mean = onnx_session.numbers(path, metadata, "mean", "0", channels)
        self._std = onnx_session.numbers(path, metadata, "std", "1", channels)

    def __call__(self, clips: UInt8[np.ndarray, "b t h w"]) -> Float32[np.ndarray, "b d"]:
        """See `FeatureExtractor`.

        Raises:
            UserError: the network takes clips of another size, or gives no row per clip.
        """
        frames = _pictures(self._path, clips) if self._of_pictures else clips
        size = self._input.shape[0] if isinstance(self._input.shape[0], int) else 1
        rows = [self._run(frames[i : i + size], size) for i in range(0, len(frames), size)]
        return np.concatenate(rows)

    def _run(self, frames: np.ndarray, size: int) -> Float32[np.ndarray, "b d"]:
        """Of as many clips as go at once; the last ones are repeated where some are missing."""
        filled = np.concatenate([frames, np.repeat(frames[-1:], size - len(frames), axis=0)])
        x = (filled[..., None].astype(np.float32) - self._mean) / self._std
        x = np.moveaxis(x, -1, 1)
        for axis, (expected, found) in enumerate(zip(self._input.shape, x.shape, strict=True)):
            if isinstance(expected, int) and expected != found:
                raise UserError(
                    f"{self._path}: axis {axis} of its input is {expected}, but clips of "
                    f"{'x'.join(map(str, frames.shape[1:]))} give {found}; compare clips of that "
                    "size and length, or export the network with open sizes"
                )
        name = self._session.get_outputs()[0].name
        found = self._session.run([name], {self._input.name: x})[0]
        return _rows(self._path, found, size)[: len(frames)]


class StableHloFeatures:
    """A network in a serialised StableHLO program.

    Attributes:
        fingerprint: hash of the file.
    """

    def __init__(self, path: pathlib.Path) -> None:
        """Opens the file.

        Raises:
            UserError: it is damaged, or takes something else.
        """
        try:
            program = jax.export.deserialize(bytearray(path.read_bytes()))
        except Exception as error:  # Damage shows in as many ways as the format has fields.
            raise UserError(
                f"{path}: damaged, or no StableHLO program ({str(error)[:200]}); export it again "
                "with jax.export"
            ) from error
        inputs = program.in_avals
        if len(inputs) != 1 or inputs[0].dtype != np.uint8 or inputs[0].ndim not in (3, 4):
            raise UserError(
                f"{path}: inputs {[str(each) for each in inputs]}; expected one of uint8, pictures "
                "(n, h, w) or clips (b, t, h, w)"
            )
        self.fingerprint = _fingerprint("stablehlo", path)
        self._path, self._program, self._of_pictures = path, program, inputs[0].ndim == 3

    def __call__(self, clips: UInt8[np.ndarray, "b t h w"]) -> Float32[np.ndarray, "b d"]:
        """See `FeatureExtractor`.

        Raises:
            UserError: the program takes clips of another size, or gives no row per clip.
        """
        frames = _pictures(self._path, clips) if self._of_pictures else clips
        try:
            found = self._program.call(frames)
        except ValueError as error:
            raise UserError(
                f"{self._path}: takes {self._program.in_avals[0]}, not clips of shape "
                f"{clips.shape}; compare clips of that size, or export with symbolic sizes"
            ) from error
        return _rows(self._path, np.asarray(found), len(clips))


def _pictures(path: pathlib.Path, clips: UInt8[np.ndarray, "b t h w"]) -> np.ndarray:
    if clips.shape[1] != 1:
        raise UserError(
            f"{path}: takes pictures, but clips have {clips.shape[1]} frames; compare single "
            "frames, or use a network of clips"
        )
    return clips[:, 0]


def _rows(path: pathlib.Path, found: np.ndarray, count: int) -> Float32[np.ndarray, "b d"]:
    if found.ndim < 2 or len(found) != count or math.prod(found.shape) != found.shape[1] * count:
        raise UserError(
            f"{path}: gave shape {found.shape} for {count} clips; expected ({count}, features)"
        )
    return found.reshape(count, -1).astype(np.float32)


def _fingerprint(kind: str, path: pathlib.Path) -> str:
    return f"{kind}-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
