import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from echodfkd_jax.networks import convolution
from echodfkd_jax.networks.convolution import convolve_3x3, kernel_gradient


def reference(inputs, kernel):
    return jax.lax.conv_general_dilated(
        inputs,
        kernel,
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=jax.lax.Precision.HIGHEST,
    )


def arrays(n=3, height=5, width=4, channels=2, features=6, dtype=jnp.float32):
    shapes = (n, height, width, channels), (3, 3, channels, features), (n, height, width, features)
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.standard_normal(shape), dtype) for shape in shapes]


def test_value_of_a_vertical_edge_is_literal():
    image = jnp.array([[0.0, 1.0], [0.0, 1.0]])[None, :, :, None]
    kernel = jnp.array([[0.0, 0.0, 0.0], [-1.0, 0.0, 2.0], [0.0, 0.0, 10.0]])[:, :, None, None]
    expected = np.array([[12.0, 0.0], [2.0, 0.0]])
    np.testing.assert_array_equal(convolve_3x3(image, kernel)[0, :, :, 0], expected)


@pytest.mark.parametrize(("channels", "features"), [(2, 6), (6, 2)])
def test_gradients_equal_those_of_the_plain_convolution(channels, features):
    inputs, kernel, cotangent = arrays(channels=channels, features=features)
    got = jax.vjp(convolve_3x3, inputs, kernel)[1](cotangent)
    wanted = jax.vjp(reference, inputs, kernel)[1](cotangent)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_kernel_gradient_in_chunks_equals_that_in_one_piece(monkeypatch):
    inputs, _, cotangent = arrays(n=6)
    whole = kernel_gradient(inputs, cotangent)
    monkeypatch.setattr(convolution, "PATCH_BYTES", 2 * 9 * 4 * inputs[0].size)
    assert "scan" in str(jax.make_jaxpr(kernel_gradient)(inputs, cotangent))
    np.testing.assert_allclose(kernel_gradient(inputs, cotangent), whole, rtol=1e-5, atol=1e-5)


def test_kernel_gradient_of_other_backends_equals_the_one_by_patches():
    inputs, _, cotangent = arrays()
    got = convolution.kernel_gradient_by_xla(inputs, cotangent)
    np.testing.assert_allclose(got, kernel_gradient(inputs, cotangent), rtol=1e-5, atol=1e-5)


def test_gradient_of_no_images_is_zero():
    inputs, _, cotangent = arrays(n=0)
    np.testing.assert_array_equal(kernel_gradient(inputs, cotangent), np.zeros((3, 3, 2, 6)))


def test_bfloat16_stays_and_is_accumulated_in_float32():
    inputs, kernel, _ = arrays(channels=64, dtype=jnp.bfloat16)
    got = convolve_3x3(inputs, kernel)
    assert got.dtype == jnp.bfloat16
    wanted = reference(inputs.astype(jnp.float32), kernel.astype(jnp.float32))
    # Half a unit of bfloat16's eight bits; accumulating in bfloat16 would lose several.
    np.testing.assert_allclose(got.astype(jnp.float32), wanted, rtol=2**-8, atol=1e-3)


@pytest.mark.parametrize("transform", ["vmap", "scan"])
def test_gradients_work_inside(transform):
    inputs, kernel, cotangent = arrays()

    def gradient(image, image_cotangent):
        value = jax.vjp(convolve_3x3, image[None], kernel)[1](image_cotangent[None])
        return value[0][0], value[1]

    if transform == "vmap":
        got = jax.vmap(gradient)(inputs, cotangent)
    else:
        got = jax.lax.scan(lambda _, each: (0, gradient(*each)), 0, (inputs, cotangent))[1]
    wanted = jax.vjp(reference, inputs, kernel)[1](cotangent)
    np.testing.assert_allclose(got[0], wanted[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(got[1].sum(0), wanted[1], rtol=1e-5, atol=1e-5)


def test_gradient_of_replicated_weights_in_shard_map_is_summed():
    inputs, kernel, cotangent = arrays()
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    data, replicated = PartitionSpec("data"), PartitionSpec()

    def gradient(inputs, kernel, cotangent):
        return jax.grad(lambda k: jnp.vdot(convolve_3x3(inputs, k), cotangent))(kernel)

    # Replication is checked: an unsummed gradient of the weights would be an error here.
    mapped = jax.shard_map(
        gradient, mesh=mesh, in_specs=(data, replicated, data), out_specs=replicated
    )
    wanted = jax.vjp(reference, inputs, kernel)[1](cotangent)[1]
    got = jax.jit(mapped)(inputs, kernel, cotangent)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
