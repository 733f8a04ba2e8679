"""CLIP's text tower: a causal transformer read at the end token (Radford et al. 2021).

Submodules carry open_clip's names, so that `open_clip_weights.py` finds every entry's place.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32

from echodfkd_jax.echoclip.architecture import Architecture

_NORM_EPSILON = 1e-5  # PyTorch's default; flax's is 1e-6


class TextTower(nn.Module):
    """Token rows to embeddings that are not yet normalised.

    Attributes:
        architecture: sizes.
        dtype: type of the computation (float32 or bfloat16); weights keep theirs.
        precision: of the products.
    """

    architecture: Architecture
    dtype: Any = jnp.float32
    precision: jax.lax.Precision | None = None

    @nn.compact
    def __call__(self, tokens: Int32[Array, "b t"]) -> Float[Array, "b d"]:
        """Rows of the tokenizer; the end token has the highest number, which finds it."""
        sizes = self.architecture
        settings = {"dtype": self.dtype, "precision": self.precision}
        small = nn.initializers.normal(0.01)
        position = self.param(
            "positional_embedding", small, (sizes.context_length, sizes.text_width)
        )
        x = nn.Embed(sizes.vocabulary, sizes.text_width, dtype=self.dtype, name="token_embedding")(
            tokens
        )
        x = x + position.astype(self.dtype)
        for index in range(sizes.text_layers):
            x = TextBlock(sizes.text_heads, name=f"resblocks_{index}", **settings)(x)
        x = _norm(self.dtype, "ln_final")(x)
        pooled = x[jnp.arange(tokens.shape[0]), tokens.argmax(axis=-1)]
        projection = self.param("text_projection", small, (sizes.text_width, sizes.embedding))
        return jnp.dot(pooled, projection.astype(self.dtype), precision=self.precision)


class TextBlock(nn.Module):
    """Causal self-attention and a two-layer perceptron, each normalised first and added."""

    heads: int
    dtype: Any = jnp.float32
    precision: jax.lax.Precision | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b t c"]) -> Float[Array, "b t c"]:
        """Features to features."""
        settings = {"dtype": self.dtype, "precision": self.precision}
        width = x.shape[-1]
        projected = nn.Dense(3 * width, name="attn_in_proj", **settings)(
            _norm(self.dtype, "ln_1")(x)
        )
        query, key, value = jnp.split(projected, 3, axis=-1)
        attended = causal_attention(query, key, value, self.heads, self.precision)
        x = x + nn.Dense(width, name="attn_out_proj", **settings)(attended)
        y = nn.Dense(4 * width, name="mlp_c_fc", **settings)(_norm(self.dtype, "ln_2")(x))
        y = nn.gelu(y, approximate=False)
        return x + nn.Dense(width, name="mlp_c_proj", **settings)(y)


def causal_attention(
    query: Float[Array, "b t c"],
    key: Float[Array, "b t c"],
    value: Float[Array, "b t c"],
    heads: int,
    precision: jax.lax.Precision | None = None,
) -> Float[Array, "b t c"]:
    """Scaled dot-product attention in which no position sees a later one; softmax in float32."""
    query, key, value = (part.reshape(*part.shape[:2], heads, -1) for part in (query, key, value))
    length, depth = query.shape[1], query.shape[-1]
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key, precision=precision) * depth**-0.5
    causal = jnp.tril(jnp.ones((length, length), bool))
    scores = jnp.where(causal, scores.astype(jnp.float32), -jnp.inf)
    weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
    mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, value, precision=precision)
    return mixed.reshape(*mixed.shape[:2], -1)


def _norm(dtype: Any, name: str) -> nn.LayerNorm:
    return nn.LayerNorm(_NORM_EPSILON, dtype=dtype, use_fast_variance=False, name=name)
