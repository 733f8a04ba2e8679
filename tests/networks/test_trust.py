import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.networks import trust
from echodfkd_jax.networks.safetensors import save_variables

MODEL = trust.TrustNet(channels=(4, 4), context=(-2, 2), subsampling=2)
FIELDS = {"name": "trust", "channels": [4, 4], "context": [-2, 2], "subsampling": 2}


@pytest.fixture(scope="module")
def network():
    variables = jax.device_get(trust.init_variables(MODEL, 0))
    return trust.TrustNetwork(MODEL, variables, {"flag_below": 0.8}, {})


def clip(num_frames, seed=0):
    random = np.random.default_rng(seed)
    frames = random.integers(0, 255, (num_frames, 112, 112), np.uint8)
    return frames, random.random((num_frames, 112, 112)) < 0.5


def test_context_stands_beside_each_frame_and_a_clips_ends_for_those_beyond():
    frames = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    shown = trust.beside(frames, np.array([0, 4]), (-2, 1))
    np.testing.assert_array_equal(shown[:, 0, 0], [[0, 0, 1], [4, 2, 4]])


@pytest.mark.slow
def test_a_clip_of_any_length_is_judged_frame_by_frame(network):
    frames, mask = clip(trust.CHUNK_FRAMES + 3)
    whole = trust.where_inside(network, frames, mask)
    assert whole.shape == frames.shape and whole.dtype == np.uint8
    part = trust.where_inside(network, frames[28:], mask[28:])
    np.testing.assert_array_equal(whole[30:], part[2:])
    assert trust.where_inside(network, frames[:0], mask[:0]).shape == (0, 112, 112)


def test_what_is_said_changes_what_is_seen(network):
    frames, mask = clip(2)
    assert (
        trust.where_inside(network, frames, mask) != trust.where_inside(network, frames, ~mask)
    ).any()


def test_other_frames_are_refused(network):
    with pytest.raises(ValueError, match="expected 112 x 112"):
        trust.where_inside(network, np.zeros((1, 64, 64), np.uint8), np.zeros((1, 64, 64), bool))


def test_overlap_is_dice():
    mask = np.zeros((2, 4, 4), np.float32)
    mask[0, :2] = 1
    probability = np.zeros_like(mask)
    probability[:, :, :2] = 1
    np.testing.assert_allclose(trust.overlap(jnp.asarray(probability), jnp.asarray(mask)), [0.5, 0])


def save(path, network, **metadata):
    content = {"model": json.dumps(FIELDS), "calibration": json.dumps(network.calibration)}
    save_variables(path, network.variables, content | metadata)
    return path


def test_weights_come_back(tmp_path, network):
    found = trust.load_trust(save(tmp_path / "a.safetensors", network))
    assert found.model == MODEL and found.calibration == network.calibration
    assert found.fingerprint == network.fingerprint and found.fingerprint.startswith("trust-")
    jax.tree.map(np.testing.assert_array_equal, found.variables, network.variables)


def test_another_calibration_is_another_network(tmp_path, network):
    other = save(tmp_path / "b.safetensors", network, calibration='{"flag_below": 0.7}')
    assert trust.load_trust(other).fingerprint != network.fingerprint


@pytest.mark.parametrize(
    "metadata",
    [
        {"model": "[1]"},
        {"model": json.dumps({**FIELDS, "name": "unet"})},
        {"model": json.dumps({**FIELDS, "depth": 3})},
        {"calibration": "{"},
    ],
)
def test_another_networks_file_is_refused(tmp_path, network, metadata):
    path = save(tmp_path / "c.safetensors", network, **metadata)
    with pytest.raises(UserError, match=r"c\.safetensors.*python -m experiments\.trust"):
        trust.load_trust(path)


def test_weights_that_do_not_fit_are_named(tmp_path, network):
    path = save(tmp_path / "d.safetensors", network, model=json.dumps({**FIELDS, "context": [1]}))
    with pytest.raises(UserError, match="down_0_0/kernel is float32"):
        trust.load_trust(path)


def test_the_shipped_network_is_small_and_sees_a_bad_outline():
    network = trust.load_trust()
    assert trust.TRUST.stat().st_size < 300_000
    assert set(network.calibration) == {"frame", "clip", "flag_below"}
