import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.networks import ConvLSTMUNet, predict_clip
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.networks.streaming import Stream, step
from tests import factories

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 16, 24), dtype=np.uint8)


@pytest.fixture(scope="module")
def student():
    model = ConvLSTMUNet(2, 1, 3, subsampling=2)
    variables = factories.random_weights(model, jnp.zeros((1, 1, 16, 24, 1)))
    return LoadedNetwork(model, variables)


def test_frames_one_by_one_give_the_bits_of_the_whole_clip(student):
    model, variables = student.model, student.variables
    video = jnp.asarray(FRAMES, jnp.float32)[None, ..., None]
    whole = jax.jit(model.apply)(variables, video)[0]
    carry, logits = model.initial_carry(1, 16, 24), []
    for frame in FRAMES:
        carry, found = step(model, variables, carry, frame)
        logits.append(found.logits)
    np.testing.assert_array_equal(np.stack(logits), np.asarray(whole))


def test_a_stream_gives_the_masks_of_the_whole_clip(student):
    stream = Stream(student, 16, 24)
    masks = np.stack([stream.push(frame) for frame in FRAMES])
    assert masks.dtype == np.uint8
    np.testing.assert_array_equal(masks, predict_clip(student, FRAMES))


def test_a_new_stream_remembers_nothing(student):
    first = Stream(student, 16, 24)
    mask = first.push(FRAMES[0])
    assert (first.push(FRAMES[0]) != mask).any()
    np.testing.assert_array_equal(Stream(student, 16, 24).push(FRAMES[0]), mask)
