"""The one function through which every 3x3 convolution of the project goes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# Patches that are made at once on a CPU. With more images at once they leave the cache: products
# over 100 images at once ran at 0.6 times the rate of products over 4 (56x56, 12 channels).
PATCH_BYTES = 12 * 2**20


def convolve_3x3(
    inputs: Float[Array, "n h w x"], kernel: Float[Array, "3 3 x y"]
) -> Float[Array, "n h w y"]:
    """Convolves with a 3x3 kernel, stride 1, zero padding 1, and no bias.

    Args:
        inputs: images, channels last; float32 or bfloat16.
        kernel: weights of the same dtype, in flax's order (height, width, in, out).

    Returns:
        Images of the same dtype; products are accumulated in float32.
    """
    return _convolve(inputs, varying_like(kernel, inputs))


def varying_like(array: Array, like: Array) -> Array:
    """Marks `array` as varying over the `shard_map` axes that `like` varies over.

    Inside `shard_map` replicated weights meet sharded data. A custom gradient has to return a
    cotangent that varies over the same axes as its primal; the transpose of this mark is the sum
    over devices that makes it so. Outside `shard_map` it does nothing.
    """
    missing = _varying_axes(like) - _varying_axes(array)
    return jax.lax.pcast(array, tuple(missing), to="varying") if missing else array


def _varying_axes(array: Array) -> frozenset[str]:
    # JAX renamed the attribute between the versions that the project supports.
    kind = jax.typeof(array)
    manual = getattr(kind, "manual_axis_type", None)
    return getattr(kind, "vma", frozenset()) if manual is None else manual.varying


def input_gradient(
    cotangent: Float[Array, "n h w y"], kernel: Float[Array, "3 3 x y"]
) -> Float[Array, "n h w x"]:
    """Gradient of `convolve_3x3` with respect to its inputs: a convolution, mirrored."""
    return _xla_convolve(cotangent, jnp.flip(kernel, (0, 1)).swapaxes(2, 3))


def kernel_gradient(
    inputs: Float[Array, "n h w x"], cotangent: Float[Array, "n h w y"]
) -> Float[Array, "3 3 x y"]:
    """Gradient of `convolve_3x3` with respect to its kernel, in float32.

    XLA's own is a convolution whose "kernel" is a whole image. That is what accelerators' libraries
    expect; on a CPU, within `scan` or for many images, it runs at a fiftieth of the processor's
    peak. There it is one product over patches instead, at a third to two thirds of the peak.
    """
    return jax.lax.platform_dependent(
        inputs, cotangent, cpu=_kernel_gradient_by_patches, default=kernel_gradient_by_xla
    )


def kernel_gradient_by_xla(inputs: Array, cotangent: Array) -> Array:
    """`kernel_gradient` as the transpose of the convolution."""
    shape = (3, 3, inputs.shape[-1], cotangent.shape[-1])
    zeros = varying_like(jnp.zeros(shape, inputs.dtype), inputs)
    transpose = jax.linear_transpose(lambda kernel: _xla_convolve(inputs, kernel), zeros)
    return transpose(cotangent)[0].astype(jnp.float32)


def _kernel_gradient_by_patches(inputs: Array, cotangent: Array) -> Array:
    if inputs.shape[-1] > cotangent.shape[-1]:
        # Making patches takes as long as multiplying them: make them of the thinner images.
        # Shifting the cotangent is shifting the inputs the other way.
        mirrored = _kernel_gradient_by_patches(cotangent, inputs)
        return jnp.flip(mirrored, (0, 1)).swapaxes(2, 3)
    n, height, width, channels = inputs.shape
    image_bytes = 9 * inputs.dtype.itemsize * height * width * channels
    largest = max(1, PATCH_BYTES // image_bytes)
    size = max(d for d in range(1, n + 1) if n % d == 0 and d <= largest) if n else 0
    if size == n:
        return _patch_product(inputs, cotangent)

    def add(total: Array, chunk: tuple[Array, Array]) -> tuple[Array, None]:
        return total + _patch_product(*chunk), None

    def cut(array: Array) -> Array:
        return array.reshape(n // size, size, *array.shape[1:])

    zeros = jnp.zeros((3, 3, channels, cotangent.shape[-1]), jnp.float32)
    return jax.lax.scan(add, varying_like(zeros, cotangent), (cut(inputs), cut(cotangent)))[0]


def _patch_product(inputs: Array, cotangent: Array) -> Array:
    _, height, width, channels = inputs.shape
    padded = jnp.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [
        padded[:, row : row + height, column : column + width]
        for row in range(3)
        for column in range(3)
    ]
    patches = jnp.concatenate(shifted, -1).reshape(-1, 9 * channels)
    # Contracting the first axis of both needs no transposed copy; an einsum over the images' own
    # axes makes XLA transpose both operands, which took longer than the product.
    product = jax.lax.dot_general(
        patches,
        cotangent.reshape(-1, cotangent.shape[-1]),
        (((0,), (0,)), ((), ())),
        preferred_element_type=jnp.float32,
    )
    return product.reshape(3, 3, channels, -1)


def _xla_convolve(inputs: Array, kernel: Array) -> Array:
    outputs = jax.lax.conv_general_dilated(
        inputs,
        kernel,
        window_strides=(1, 1),
        padding=((1, 1), (1, 1)),
        dimension_numbers=_DIMENSIONS,
        preferred_element_type=jnp.float32,
    )
    return outputs.astype(inputs.dtype)


@jax.custom_vjp
def _convolve(inputs: Array, kernel: Array) -> Array:
    return _xla_convolve(inputs, kernel)


def _convolve_forward(inputs: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _convolve(inputs, kernel), (inputs, kernel)


def _convolve_backward(saved: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    inputs, kernel = saved
    weights = kernel_gradient(inputs, cotangent).astype(kernel.dtype)
    return input_gradient(cotangent, kernel), weights


_convolve.defvjp(_convolve_forward, _convolve_backward)
