"""The published student: a ConvLSTM U-Net without skip connections (Petit et al., 2409.07566)."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE, Structures
from echodfkd_jax.networks.blocks import (
    PIXEL,
    Block,
    Form,
    form_of_backend,
    over_blocks,
    regroup,
)
from echodfkd_jax.networks.convolution import varying_like
from echodfkd_jax.networks.layers import (
    BatchNorm,
    Head,
    UpConv3x3,
    average_pool,
    max_pool_blocks,
    resize_bilinear,
    standardise,
    torch_uniform,
)
from echodfkd_jax.networks.recurrence import State, advance_cell, run_cell

# Hidden and cell state (b, h, w, channels) of every ConvLSTM layer; sizes differ between layers.
Carry = tuple[tuple[Float[Array, "_ _ _ _"], Float[Array, "_ _ _ _"]], ...]


class ConvLSTMCell(nn.Module):
    """One ConvLSTM layer.

    Attributes:
        features: channels of the hidden state.
        dtype: type of the products' factors and of the hidden state; the cell state is float32.
        keep_gates: see `blocks.Form`.
    """

    features: int
    dtype: Any = jnp.float32
    keep_gates: bool = True

    @nn.compact
    def _weights(self, channels: int, block: Block) -> tuple[Array, Array]:
        channels //= block.pixels
        both = channels + self.features
        init = torch_uniform(9 * both)
        kernel = self.param("kernel", init, (3, 3, both, 4 * self.features))
        bias = self.param("bias", init, (4 * self.features,))
        halves = []
        for half in jnp.split(kernel, [channels], 2):
            wide = over_blocks(half, block)
            wide = wide.reshape(*wide.shape[:-1], 4, self.features)
            # Gate by gate: what is added and multiplied then lies together for a whole block.
            wide = jnp.moveaxis(wide, -2, -4)
            halves.append(wide.reshape(3, 3, half.shape[2] * block.pixels, -1))
        kernel = jnp.concatenate(halves, 2)
        bias = jnp.tile(bias.reshape(4, -1), block.pixels).ravel()
        return jnp.asarray(kernel, self.dtype), jnp.asarray(bias, jnp.float32)

    def __call__(
        self, inputs: Float[Array, "t b h w x"], block: Block = PIXEL
    ) -> Float[Array, "t b h w y"]:
        """Runs over all frames, in blocks, from a zero state and gives the hidden states."""
        weights = self._weights(inputs.shape[-1], block)
        return run_cell(inputs.astype(self.dtype), *weights, keep_gates=self.keep_gates)

    def advance(self, state: State, inputs: Float[Array, "b h w x"], block: Block = PIXEL) -> State:
        """Runs over one frame."""
        weights = self._weights(inputs.shape[-1], block)
        return advance_cell(state, inputs.astype(self.dtype), *weights)[0]


class ConvLSTMUNet(nn.Module):
    """k blocks of n ConvLSTM layers, then upsampling back to the input's resolution.

    Block i has `filters` * 2^i channels; every ConvLSTM layer is followed by batch normalisation
    over all frames of the batch, every block but the last by 2x2 max pooling. The decoder repeats
    nearest upsampling, 3x3 convolution and normalisation; a 1x1 convolution gives the logits. In
    training mode statistics are the batch's, otherwise the running ones.

    Attributes:
        blocks: k, resolutions.
        layers: n, ConvLSTM layers per block.
        filters: channels of the first block (12 as published).
        subsampling: 1 as published; s runs the same weights on means of s x s pixels and enlarges
            the logits bilinearly, s*s times cheaper.
        normalise: False as published; True scales every frame to zero mean and unit deviation
            first, by itself, so that gain does not matter and training starts faster.
        skips: False as published; True adds every block's output to the decoder's at the same
            resolution. It costs no weight.
        burn_in_frames: 0 as published; the first frame is shown so many times before a clip
            begins, so that the memory is not empty when the first mask is due.
        structures: what is outlined, one logit each; the left ventricle alone as published.
        axis_name: mapped axis over which normalisation statistics are shared in training.
        dtype: type of the products' factors; cell state, statistics and logits stay float32.
        remat: in training, what happens inside a ConvLSTM layer is computed again for its gradient
            instead of being kept: gates and states of one layer at a time are in memory.
        form: how it is computed; None: as suits the devices of this process.
    """

    blocks: int
    layers: int
    filters: int = 12
    subsampling: int = 1
    normalise: bool = False
    skips: bool = False
    burn_in_frames: int = 0
    structures: Structures = LV_ALONE
    axis_name: str | None = None
    dtype: Any = jnp.float32
    remat: bool = False
    form: Form | None = None

    def setup(self) -> None:
        """Declares the layers; the names say block and layer."""
        widths = [self.filters * 2**block for block in range(self.blocks)]
        names = [(block, layer) for block in range(self.blocks) for layer in range(self.layers)]
        norm = {"axis_name": self.axis_name, "dtype": self.dtype}
        make_cell = nn.remat(ConvLSTMCell, static_argnums=2) if self.remat else ConvLSTMCell
        cell = {"dtype": self.dtype, "keep_gates": self._form.keep_gates}
        self.cell = {f"{b}_{n}": make_cell(widths[b], **cell) for b, n in names}
        self.cell_norm = {f"{b}_{n}": BatchNorm(**norm) for b, n in names}
        decoder = range(self.blocks - 1)
        self.decoder = {f"{b}": UpConv3x3(widths[b], self.dtype) for b in decoder}
        self.decoder_norm = {f"{b}": BatchNorm(**norm) for b in decoder}
        self.head = Head(len(self.structures))

    def __call__(
        self, video: Float[Array, "b t h w 1"], *, train: bool = False
    ) -> Float[Array, "b t h w s"]:
        """Segments whole clips from a zero state.

        Args:
            video: pixel values 0..255; the sides must be multiples of subsampling * 2^(blocks-1).
            train: normalise with the batch's statistics and update the running ones (collection
                `batch_stats`, to be passed as mutable).

        Returns:
            float32 logits, one per pixel, frame and structure.

        Raises:
            UserError: the sides cannot be halved often enough.
        """
        if not train and not self.is_initializing():
            return self.advance(self.begin(video[:, 0]), video)[1]
        self._check_sides(*video.shape[2:4])
        frames = video.swapaxes(0, 1)
        frames = jnp.concatenate([frames[:1]] * self.burn_in_frames + [frames])
        leading = frames.shape[:2]

        def run(name: str, hidden: Array, block: Block) -> Array:
            outputs = self.cell[name](hidden.reshape(*leading, *hidden.shape[1:]), block)
            merged = outputs.reshape(-1, *outputs.shape[2:])
            return self.cell_norm[name](merged, train=train, block=block)

        logits = self._through(frames.reshape(-1, *frames.shape[2:]), run, train=train)
        return logits.reshape(*leading, *logits.shape[1:])[self.burn_in_frames :].swapaxes(0, 1)

    def initial_carry(self, batch: Any, height: int, width: int) -> Carry:
        """The zero state of every layer, for `batch` clips of `height` x `width` pixels.

        `batch` is an int, or a symbol where the network is exported for any number of clips.

        Raises:
            UserError: the sides cannot be halved often enough.
        """
        self._check_sides(height, width)
        carry = []
        for block in range(self.blocks):
            shrink = self.subsampling * 2**block
            pixels, channels = self._blocks(height, width)[block], self.filters * 2**block
            down, right = shrink * pixels.rows, shrink * pixels.columns
            shape = (batch, height // down, width // right, channels * pixels.pixels)
            state = (jnp.zeros(shape, self.dtype), jnp.zeros(shape, jnp.float32))
            carry += [state] * self.layers
        return tuple(carry)

    def begin(self, first_frame: Float[Array, "b h w 1"]) -> Carry:
        """The state before a clip that starts with this frame: after `burn_in_frames` of it."""
        carry = self.initial_carry(*first_frame.shape[:3])
        if self.burn_in_frames == 0:
            return carry
        return self.advance(carry, jnp.stack([first_frame] * self.burn_in_frames, axis=1))[0]

    def advance(
        self, carry: Carry, video: Float[Array, "b t h w 1"]
    ) -> tuple[Carry, Float[Array, "b t h w s"]]:
        """Segments the next frames of clips whose earlier frames led to `carry`.

        Inference mode only. Frame after frame goes through the whole network in one loop whose
        body does not depend on the number of frames, so a whole clip, its chunks and its single
        frames give the same bits.
        """

        def step(carry: Carry, frame: Array) -> tuple[Carry, Array]:
            states: list[State] = []

            def run(name: str, hidden: Array, block: Block) -> Array:
                states.append(self.cell[name].advance(carry[len(states)], hidden, block))
                return self.cell_norm[name](states[-1][0], train=False, block=block)

            logits = self._through(frame, run, train=False)
            return tuple(states), logits

        carry = jax.tree.map(lambda state: varying_like(state, video), carry)
        carry, logits = jax.lax.scan(step, carry, video.swapaxes(0, 1))
        return carry, logits.swapaxes(0, 1)

    def _through(
        self, frames: Array, run: Callable[[str, Array, Block], Array], *, train: bool
    ) -> Array:
        """From frames (n, h, w, 1) to logits; `run` is a recurrent layer with its normalisation."""
        blocks = self._blocks(*frames.shape[1:3])
        hidden = average_pool(frames, self.subsampling)
        hidden = standardise(hidden) if self.normalise else hidden
        held, outputs = PIXEL, []
        for level, block in enumerate(blocks):
            if level:
                hidden, held = max_pool_blocks(hidden, held)
            hidden, held = regroup(hidden, held, block), block
            for layer in range(self.layers):
                hidden = run(f"{level}_{layer}", hidden, block)
            outputs.append(hidden)
        return self._decode(outputs, blocks, train=train)

    def _decode(self, outputs: list[Array], blocks: list[Block], *, train: bool) -> Array:
        """From the levels' outputs, finest first, to logits at the input's resolution."""
        hidden, held = outputs[-1], blocks[-1]
        for level in reversed(range(self.blocks - 1)):
            hidden, held = self.decoder[f"{level}"](hidden, held), held.twice
            hidden = self.decoder_norm[f"{level}"](hidden, train=train, block=held)
            # The head looks at single pixels: rearranging its few channels is cheaper.
            if level or self.skips:
                hidden, held = regroup(hidden, held, blocks[level]), blocks[level]
            if self.skips:
                hidden = hidden + outputs[level]
        logits = regroup(self.head(hidden, held), held, PIXEL)
        return resize_bilinear(logits, self.subsampling)

    @property
    def _form(self) -> Form:
        return form_of_backend() if self.form is None else self.form

    def _blocks(self, height: int, width: int) -> list[Block]:
        """Every level's blocks, finest first, for frames of so many pixels."""
        return [
            self._form.block(
                self.filters * 2**level,
                height // (self.subsampling * 2**level),
                width // (self.subsampling * 2**level),
            )
            for level in range(self.blocks)
        ]

    def _check_sides(self, height: int, width: int) -> None:
        multiple = self.subsampling * 2 ** (self.blocks - 1)
        if height % multiple or width % multiple:
            raise UserError(
                f"frames of {height}x{width} pixels do not fit a student with "
                f"blocks={self.blocks} and subsampling={self.subsampling}; use sides that are "
                f"multiples of {multiple}, fewer blocks or a smaller subsampling"
            )
