"""A small diffusion model of pictures that is told a map of structures and the phase.

EDM (Karras et al., arXiv 2206.00364) on pixels: squares of 2 x 2 pixels are one place with four
channels, so that a picture of 112 x 112 costs what one of 56 x 56 does and keeps its speckle. The
map is beside the noisy picture as channels, the phase is a class. `experiments/diffecho.py` is the
command. Weights that have seen recorded pictures, and what they make, stay with those pictures.
"""

import functools
import io
import pathlib
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tqdm

from echodfkd_jax import files
from echodfkd_jax.networks.diffusion.blocks import DownBlock, MidBlock, UpBlock
from echodfkd_jax.networks.diffusion.layers import (
    Embedding,
    Norm,
    conv3x3,
    group_norm,
    sinusoids,
)
from echodfkd_jax.networks.safetensors import load_variables, save_variables
from echodfkd_jax.synthesis.diffusion import averages, edm, losses, samplers, schedules
from echodfkd_jax.synthesis.diffusion.predictions import Denoise
from experiments import labelled_pictures as labelled
from experiments.camus_stills import ARRAYS, PHASES
from experiments.labelled_pictures import NUM_LABELS, STRUCTURES, Pictures

SQUARE = 2  # Pixels along a side of what is one place to the network.
NORM, HEAD_WIDTH = Norm(groups=8), 16
# ln(sigma) / 4 is what EDM tells a network; the sinusoids want a range of about a hundred.
NOISE_SCALE = 100.0
# Of ln(sigma) in training. Higher than the paper's, for larger pictures and few steps: how bright a
# picture is as a whole is only decided where sigma is tens of the pixels' deviation.
LOG_SIGMA_MEAN, LOG_SIGMA_STD = -0.4, 1.6
LEARNING_RATE, MOST_DECAY = 2e-3, 0.999
# Pictures that are made at once.
MADE_AT_ONCE = 20


class MapUNet(nn.Module):
    """Noisy pictures, maps, phases and noise levels to what EDM's preconditioning asks for.

    Attributes:
        widths: channels of every level, the finest first; multiples of 8.
    """

    widths: tuple[int, ...]

    @nn.compact
    def __call__(
        self, noisy: jax.Array, maps: jax.Array, phase: jax.Array, noise: jax.Array
    ) -> jax.Array:
        """Takes (b, h, w, SQUARE^2), (b, h, w, ...), (b,), (b,); gives the shape of the first."""
        features, last = 4 * self.widths[0], len(self.widths) - 1
        embedding = Embedding(features, name="noise_embedding")(
            sinusoids(NOISE_SCALE * noise, self.widths[0])
        )
        embedding += nn.Embed(len(PHASES), features, name="phase_embedding")(phase)
        x = conv3x3(jnp.concatenate([noisy, maps], -1), self.widths[0], "conv_in")
        skips = [x]
        for level, width in enumerate(self.widths):
            halving = None if level == last else "residual"
            block = DownBlock(width, 1, NORM, halving=halving, name=f"down_{level}")
            x, new = block(x, embedding)
            skips += new
        x = MidBlock(NORM, HEAD_WIDTH if x.shape[-1] % HEAD_WIDTH == 0 else None, name="mid")(
            x, embedding
        )
        for level in reversed(range(len(self.widths))):
            doubling = "conv" if level else None
            block = UpBlock(self.widths[level], 2, NORM, doubling=doubling, name=f"up_{level}")
            x = block(x, embedding, skips[-2:])
            del skips[-2:]
        x = nn.silu(group_norm(x, NORM, "norm_out"))
        return conv3x3(x, noisy.shape[-1], "conv_out")


class Generator(NamedTuple):
    """What makes pictures.

    Attributes:
        params: of a `MapUNet`, averaged over training.
        grey: mean and standard deviation of the pixels that it learnt from, (2,).
    """

    params: Any
    grey: jax.Array


def to_signal(frames: jax.Array, grey: jax.Array) -> jax.Array:
    """Grey values (b, h, w) as what the model knows, (b, h / 2, w / 2, 4)."""
    return _gathered((frames[..., None] - grey[0]) * (edm.SIGMA_DATA / grey[1]))


def to_frames(signal: jax.Array, grey: jax.Array) -> jax.Array:
    """The other way, uint8."""
    rows, height, width, _ = signal.shape
    squares = signal.reshape(rows, height, width, SQUARE, SQUARE).transpose(0, 1, 3, 2, 4)
    pixels = squares.reshape(rows, SQUARE * height, SQUARE * width)
    values = pixels * (grey[1] / edm.SIGMA_DATA) + grey[0]
    return jnp.clip(jnp.round(values), 0, 255).astype(jnp.uint8)


def denoiser(model: MapUNet, params: Any, labels: jax.Array, phase: jax.Array) -> Denoise:
    """What takes the noise out of pictures whose maps (b, h, w) and phases (b,) are these."""
    maps = _gathered(jax.nn.one_hot(labels, NUM_LABELS))

    def network(state: jax.Array, noise: jax.Array) -> jax.Array:
        found: Any = model.apply(
            {"params": params}, state, maps, phase, jnp.broadcast_to(noise, phase.shape)
        )
        return found

    return edm.edm_denoiser(network)


def train(
    pictures: Pictures, widths: tuple[int, ...], *, steps: int, batch: int, seed: int
) -> Generator:
    """Learns from pictures, each deformed anew whenever it is seen."""
    model = MapUNet(widths)
    values = pictures.frames.astype(jnp.float32)
    grey = jnp.stack([jnp.mean(values), jnp.std(values)])
    warm = max(steps // 20, 1)
    rate = optax.warmup_cosine_decay_schedule(0.0, LEARNING_RATE, warm, max(steps, warm + 1))
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))

    def step(state: Any, number: jax.Array, data: Any) -> tuple[Any, jax.Array]:
        params, averaged, memory = state
        pictures, grey, key = data
        keys = jax.random.split(jax.random.fold_in(key, number), 3)
        rows = labelled.drawn_rows(keys[0], pictures, 0, len(pictures.frames), batch)
        clean = to_signal(rows.frames, grey)
        sigma = jnp.exp(LOG_SIGMA_MEAN + LOG_SIGMA_STD * jax.random.normal(keys[1], (batch,)))
        noisy = clean + sigma[:, None, None, None] * jax.random.normal(keys[2], clean.shape)

        def loss(params: Any) -> jax.Array:
            found = denoiser(model, params, rows.labels, rows.phase)(noisy, sigma).clean
            return jnp.mean(losses.edm_error(found, clean, sigma))

        value, gradient = jax.value_and_grad(loss)(params)
        updates, memory = optimizer.update(gradient, memory, params)
        params = optax.apply_updates(params, updates)
        decay = averages.warming_decay(number + 1, MOST_DECAY)
        return (params, averages.average(averaged, params, decay), memory), value

    key = jax.random.key(seed)
    params = _first_params(model, pictures.frames.shape[1:], key)
    state = (params, jax.tree.map(jnp.copy, params), optimizer.init(params))
    data = (pictures, grey, jax.random.fold_in(key, 1))
    state = labelled.run(labelled.advance_with(step), state, data, steps, "generator")
    return Generator(state[1], grey)


def make(
    generator: Generator,
    widths: tuple[int, ...],
    pictures: Pictures,
    *,
    count: int,
    sampling_steps: int,
    seed: int,
) -> tuple[Pictures, np.ndarray]:
    """Makes pictures of the deformed maps of `pictures`, in their phases.

    A picture depends on the seed, its number and the generator only, not on how many are made.

    Returns:
        The pictures, and of which of `pictures` the map was, int (count).
    """
    model, (height, width) = MapUNet(widths), pictures.frames.shape[1:]
    # Not those of training, which may have the same seed.
    order_key, row_key = (jax.random.fold_in(jax.random.key(seed), part) for part in (2, 3))
    order = jax.random.permutation(order_key, len(pictures.frames))
    shape = (height // SQUARE, width // SQUARE, SQUARE**2)
    steps = schedules.karras_sigmas(sampling_steps)

    @jax.jit
    def some(generator: Generator, pictures: Pictures, index: jax.Array, keys: jax.Array) -> Any:
        two = jax.vmap(jax.random.split)(keys)
        frames, phase = pictures.frames[index], pictures.phase[index]
        labels = jax.vmap(labelled.deformed)(two[:, 0], frames, pictures.labels[index])[1]
        denoise = denoiser(model, generator.params, labels, phase)
        draw = samplers.noise_of_rows(two[:, 1], shape)
        sampler = samplers.heun(denoise, steps, draw)
        clean = samplers.run(sampler, samplers.start_of(steps, draw), steps)
        return to_frames(clean, generator.grey), labels

    at_once = min(MADE_AT_ONCE, count)
    keys_of = jax.vmap(functools.partial(jax.random.fold_in, row_key))
    made = []
    with tqdm.tqdm(total=count, desc="pictures", unit="picture", mininterval=5.0) as bar:
        for first in range(0, count, at_once):
            numbers = first + jnp.arange(at_once)
            index = order[numbers % len(order)]
            made.append(jax.device_get(some(generator, pictures, index, keys_of(numbers))))
            bar.update(min(at_once, count - first))
    frames, labels = (jnp.concatenate(parts)[:count] for parts in zip(*made))
    index = order[jnp.arange(count) % len(order)]
    return Pictures(frames, labels, pictures.phase[index]), np.asarray(index)


def save_generator(path: pathlib.Path, generator: Generator) -> None:
    """Writes the weights."""
    save_variables(path, {"params": generator.params, "grey": generator.grey}, {})


def load_generator(path: pathlib.Path) -> Generator:
    """Reads what `save_generator` wrote.

    Raises:
        UserError: the file is damaged.
    """
    variables, _ = load_variables(path)
    return Generator(jax.device_put(variables["params"]), jnp.asarray(variables["grey"]))


def save_pictures(path: pathlib.Path, made: Pictures, map_of: np.ndarray, seed: int) -> None:
    """Writes pictures in the layout that `experiments/camus_stills.py` describes.

    Args:
        path: the file.
        made: what is written.
        map_of: of each picture the number, in the file that was learnt from, of the map's owner.
        seed: that they were made with.
    """
    labels = np.asarray(made.labels)
    masks = {ARRAYS[name]: labels == number for number, name in enumerate(STRUCTURES, 1)}
    content = io.BytesIO()
    np.savez_compressed(
        content,
        frames=np.asarray(made.frames),
        phase=np.array(PHASES)[np.asarray(made.phase)],
        patient=np.array([f"generated{number:05d}" for number in range(len(labels))]),
        map_of=map_of,
        seed=np.array(seed),
        **masks,
    )
    files.write_bytes(path, content.getvalue())


def _first_params(model: MapUNet, sides: tuple[int, ...], key: jax.Array) -> Any:
    height, width = (side // SQUARE for side in sides)

    def floats(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, jnp.float32)

    places = (1, height, width)
    # Lazily: to compile one program that draws hundreds of arrays takes minutes.
    return model.lazy_init(
        key,
        floats(*places, SQUARE**2),
        floats(*places, NUM_LABELS * SQUARE**2),
        jax.ShapeDtypeStruct((1,), jnp.int32),
        floats(1),
    )["params"]


def _gathered(images: jax.Array) -> jax.Array:
    """Squares of SQUARE x SQUARE pixels as one place: (b, h, w, c) to (b, h / 2, w / 2, 4 c)."""
    rows, height, width, channels = images.shape
    squares = images.reshape(
        rows, height // SQUARE, SQUARE, width // SQUARE, SQUARE, channels
    ).transpose(0, 1, 3, 2, 4, 5)
    return squares.reshape(rows, height // SQUARE, width // SQUARE, -1)
