"""Do two latent images show one clip? The siamese ResNet-50 behind EchoNet-Synthetic's filter."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from echodfkd_jax.networks.resnet import RESNET50, ResNet, Stage


class ReidentificationNetwork(nn.Module):
    """Embeds latent images and compares pairs of embeddings.

    Attributes:
        embedding: numbers per image (128 as published).
        stages: of the ResNet; ResNet-50 as published.
    """

    embedding: int = 128
    stages: tuple[Stage, ...] = RESNET50

    def setup(self) -> None:
        """Declares the layers."""
        self.model = ResNet(self.stages, self.embedding)
        self.fc_end = nn.Dense(1)

    def __call__(
        self,
        first: Float[Array, "n h w c"],
        second: Float[Array, "n h w c"],
        *,
        train: bool = False,
    ) -> Float[Array, " n"]:
        """Logits of pairs of images; above 0 they are more likely of one clip.

        Args:
            first: as for `embed`.
            second: the other images of the pairs.
            train: as for `embed`.
        """
        return self.compare(self.embed(first, train=train), self.embed(second, train=train))

    def embed(
        self, images: Float[Array, "n h w c"], *, train: bool = False
    ) -> Float[Array, "n embedding"]:
        """Embeddings, each number between 0 and 1.

        Args:
            images: latents, scaled as by `to_full_range`.
            train: normalise with the batch's statistics and update the running ones (collection
                `batch_stats`, to be passed as mutable).
        """
        return jax.nn.sigmoid(self.model(images, train=train))

    def compare(
        self, first: Float[Array, "n embedding"], second: Float[Array, "n embedding"]
    ) -> Float[Array, " n"]:
        """Logits of pairs of embeddings."""
        return self.fc_end(jnp.abs(first - second))[:, 0]


def to_full_range(latents: Float[Array, "n h w c"], *, each: bool) -> Float[Array, "n h w c"]:
    """Scales latents linearly to -1..1, which is what the network learns on.

    Args:
        latents: frames of one clip, or single images.
        each: every image by its own range, or all by their common one. As published a clip's frames
            share theirs, and so do all images of a generated set; then an image's embedding depends
            on which others are in the set, which images each by itself do not.
    """
    axes = (1, 2, 3) if each else None
    low = latents.min(axes, keepdims=True)
    high = latents.max(axes, keepdims=True)
    return 2 * (latents - low) / (high - low) - 1
