"""The image U-Net of denoising diffusion, for latent images and for pixels.

Its layout is that of diffusers' UNet2DModel. EchoNet-Synthetic's latent image model is
`ImageUNet()`; DiffEcho's unconditional model of 128 x 128 grey pixels is `ImageUNet(**DIFFECHO)`.
"""

from typing import Any

import flax.linen as nn
from jaxtyping import Array, Float, Shaped

from echodfkd_jax.errors import UserError
from echodfkd_jax.networks.diffusion.blocks import DownBlock, MidBlock, UpBlock
from echodfkd_jax.networks.diffusion.layers import (
    Embedding,
    Norm,
    conv3x3,
    group_norm,
    sinusoids,
)

DIFFECHO: dict[str, Any] = {
    "channels": 1,
    "widths": (64, 64, 128, 128, 256, 256),
    "attention": (False, False, False, False, True, False),
    "residual_resampling": False,
}


class ImageUNet(nn.Module):
    """Noisy images and their times to what the schedule asks for: noise, velocity or image.

    Attributes:
        channels: of the output.
        widths: channels of every level, the finest first; each level but the last halves the image.
        attention: whether a level has attentions; the lowest one, in the middle, always has.
        layers: residual blocks of a level on the way down; one more on the way up.
        head_width: channels of an attention's head.
        residual_resampling: levels with attentions resample in residual blocks, not with a
            convolution.
        norm: of all layers.
    """

    channels: int = 4
    widths: tuple[int, ...] = (128, 256, 256, 512)
    attention: tuple[bool, ...] = (True, True, True, False)
    layers: int = 2
    head_width: int = 8
    residual_resampling: bool = True
    norm: Norm = Norm()

    @nn.compact
    def __call__(
        self, images: Float[Array, "b h w _"], times: Shaped[Array, " b"]
    ) -> Float[Array, "b h w _"]:
        """Denoises.

        Args:
            images: their channels may be more than the output's, where some are conditions. The
                sides must be multiples of 2^(levels - 1).
            times: 0..1000 as published.

        Raises:
            UserError: the sides cannot be halved often enough.
        """
        check_sides(images.shape[-3:-1], len(self.widths))
        embedding = Embedding(4 * self.widths[0], name="time_embedding")(
            sinusoids(times, self.widths[0])
        )
        x = conv3x3(images, self.widths[0], "conv_in")
        skips, last = [x], len(self.widths) - 1
        for level, (width, attention) in enumerate(zip(self.widths, self.attention, strict=True)):
            residual = self.residual_resampling and attention
            block = DownBlock(
                width,
                self.layers,
                self.norm,
                attention,
                self.head_width,
                None if level == last else "residual" if residual else "padded",
                name=f"down_blocks_{level}",
            )
            x, new = block(x, embedding)
            skips += new
        x = MidBlock(self.norm, self.head_width, name="mid_block")(x, embedding)
        for index, level in enumerate(reversed(range(len(self.widths)))):
            residual = self.residual_resampling and self.attention[level]
            block = UpBlock(
                self.widths[level],
                self.layers + 1,
                self.norm,
                self.attention[level],
                self.head_width,
                None if level == 0 else "residual" if residual else "conv",
                name=f"up_blocks_{index}",
            )
            x = block(x, embedding, skips[-block.layers :])
            del skips[-block.layers :]
        x = nn.silu(group_norm(x, self.norm, "conv_norm_out"))
        return conv3x3(x, self.channels, "conv_out")


def check_sides(sides: tuple[int, ...], levels: int) -> None:
    """Refuses images that `levels` levels cannot halve.

    Raises:
        UserError: a side is no multiple of 2^(levels - 1).
    """
    multiple = 2 ** (levels - 1)
    if any(side % multiple for side in sides):
        raise UserError(
            f"images of {' x '.join(map(str, sides))}: a network of {levels} levels halves them "
            f"{levels - 1} times; pad the sides to multiples of {multiple}"
        )
