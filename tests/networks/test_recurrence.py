import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec

from echodfkd_jax.networks.recurrence import advance_cell, run_cell


def arrays():
    rng = np.random.default_rng(0)
    shapes = (5, 2, 4, 6, 3), (3, 3, 3 + 2, 8), (8,), (5, 2, 4, 6, 2)
    draws = (jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes)
    inputs, kernel, bias, cotangent = draws
    return (inputs, 0.3 * kernel, bias), cotangent


def run_by_single_frames(inputs, kernel, bias):
    zeros = jnp.zeros((*inputs.shape[1:-1], bias.size // 4))

    def step(state, frame):
        state, _ = advance_cell(state, frame, kernel, bias)
        return state, state[0]

    return jax.lax.scan(step, (zeros, zeros), inputs)[1]


def test_one_pixel_by_hand():
    # The four gates before their non-linearities are the biases: i, f, o, g in this order.
    bias = jnp.array([0.0, 1.0, 2.0, 3.0])
    state = (jnp.zeros((1, 1, 1, 1)), jnp.full((1, 1, 1, 1), 0.5))
    (hidden, cell), _ = advance_cell(state, jnp.zeros((1, 1, 1, 1)), jnp.zeros((3, 3, 2, 4)), bias)
    # sigmoid(1) * 0.5 + sigmoid(0) * tanh(3), and sigmoid(2) * tanh of it.
    np.testing.assert_allclose(cell.item(), 0.7310586 * 0.5 + 0.5 * 0.9950548, rtol=1e-6)
    np.testing.assert_allclose(hidden.item(), 0.8807971 * np.tanh(0.8630567), rtol=1e-6)


def test_all_frames_equal_single_frames():
    primals, _ = arrays()
    got = jax.jit(run_cell)(*primals)
    np.testing.assert_allclose(got, jax.jit(run_by_single_frames)(*primals), rtol=1e-6, atol=1e-6)


def test_backward_pass_equals_automatic_differentiation():
    primals, cotangent = arrays()
    got = jax.vjp(run_cell, *primals)[1](cotangent)
    wanted = jax.vjp(run_by_single_frames, *primals)[1](cotangent)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_backward_pass_under_vmap_sums_to_that_of_the_batch():
    (inputs, kernel, bias), cotangent = arrays()

    def gradient(inputs, cotangent):
        pull = jax.vjp(run_cell, inputs[:, None], kernel, bias)[1]
        return pull(cotangent[:, None])[1:]

    got = jax.vmap(gradient, in_axes=1)(inputs, cotangent)
    wanted = jax.vjp(run_cell, inputs, kernel, bias)[1](cotangent)[1:]
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a.sum(0), b, rtol=1e-4, atol=1e-5)


def test_backward_pass_in_shard_map_sums_the_gradients_of_replicated_weights():
    (inputs, kernel, bias), cotangent = arrays()
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    data, replicated = PartitionSpec(None, "data"), PartitionSpec()

    def gradient(inputs, weights, cotangent):
        return jax.grad(lambda w: jnp.vdot(run_cell(inputs, *w), cotangent))(weights)

    mapped = jax.shard_map(
        gradient, mesh=mesh, in_specs=(data, replicated, data), out_specs=replicated
    )
    got = jax.jit(mapped)(inputs, (kernel, bias), cotangent)
    wanted = jax.vjp(run_cell, inputs, kernel, bias)[1](cotangent)[1:]
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_bfloat16_is_close_and_gradients_keep_the_dtypes_of_their_primals():
    (inputs, kernel, bias), cotangent = arrays()
    low = (inputs.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16), bias)
    outputs, pull = jax.vjp(run_cell, *low)
    assert outputs.dtype == jnp.bfloat16
    wanted, exact_pull = jax.vjp(run_cell, inputs, kernel, bias)
    np.testing.assert_allclose(outputs.astype(jnp.float32), wanted, atol=0.05)
    for a, b in zip(pull(cotangent.astype(jnp.bfloat16)), exact_pull(cotangent), strict=True):
        scale = np.abs(b).max()
        np.testing.assert_allclose(a.astype(jnp.float32) / scale, b / scale, atol=0.05)
