import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.networks import ConvLSTMUNet, predict_clip, predict_clips
from echodfkd_jax.networks.inference import overlapping_chunks
from echodfkd_jax.networks.loaded import LoadedNetwork
from tests import factories


class Brightness(nn.Module):
    """A model without memory whose probability is the pixel's brightness."""

    def __call__(self, video, *, train=False):
        del train
        return jax.scipy.special.logit(video / 255)


@pytest.fixture(scope="module")
def student():
    model = ConvLSTMUNet(2, 1, 2)
    variables = factories.random_weights(model, jnp.zeros((1, 1, 8, 8, 1)))
    return LoadedNetwork(model, variables)


def clips(batch, frames, seed=0):
    shape = (batch, frames, 8, 8)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("frames", [1, 32, 33, 70])
def test_mask_of_any_length_is_that_of_the_whole_clip(student, frames):
    model, variables = student.model, student.variables
    clip = clips(1, frames)
    logits = jax.jit(model.apply)(variables, jnp.asarray(clip, jnp.float32)[..., None])
    wanted = np.round(255 * np.asarray(jax.nn.sigmoid(logits[0])))
    got = predict_clip(student, clip[0])
    assert got.dtype == np.uint8
    # The last bit of a probability can tip the rounding.
    assert np.abs(got - wanted).max() <= 1
    assert np.mean(got != wanted) < 0.01


def test_clips_together_are_clips_alone(student):
    both = clips(2, 40)
    together = predict_clips(student, both)
    alone = np.stack([predict_clip(student, clip) for clip in both])
    assert np.abs(together.astype(int) - alone.astype(int)).max() <= 1


def test_lengths_share_one_compilation():
    traced = []

    class Counting(nn.Module):
        """A model with a memory that notes when it is traced."""

        def begin(self, first_frame):
            return jnp.zeros(first_frame.shape[:1])

        def advance(self, carry, video):
            traced.append(video.shape)
            return carry, jax.scipy.special.logit(video / 255)

    network = LoadedNetwork(Counting(), {})
    for frames in (3, 50):
        clip = clips(1, frames)[0]
        np.testing.assert_array_equal(predict_clip(network, clip)[..., 0], clip)
        assert len(traced) == 1


def test_model_without_memory_rounds_255_times_the_probability():
    frames = np.arange(40 * 4, dtype=np.uint8).reshape(40, 2, 2)
    np.testing.assert_array_equal(
        predict_clip(LoadedNetwork(Brightness(), {}), frames)[..., 0], frames
    )


def test_no_frames_give_no_frames(student):
    assert predict_clip(student, clips(1, 0)[0]).shape == (0, 8, 8, 1)


def test_each_structure_has_a_mask_of_its_own(student):
    """The head's columns are the structures: one that is repeated gives the same mask again."""
    model = ConvLSTMUNet(2, 1, 2, structures=("lv", "la", "rv"))
    params = dict(student.variables["params"])
    one = params["head"]["kernel"]
    params["head"] = {
        "kernel": jnp.concatenate([one, -one, one], axis=1),
        "bias": jnp.concatenate([params["head"]["bias"] * sign for sign in (1, -1, 1)]),
    }
    network = LoadedNetwork(model, {**student.variables, "params": params})
    assert network.structures == ("lv", "la", "rv")
    clip = clips(1, 35)[0]
    masks, alone = predict_clip(network, clip), predict_clip(student, clip)
    assert masks.shape == (*clip.shape, 3)
    for number in (0, 2):
        assert np.abs(masks[..., number].astype(int) - alone[..., 0]).max() <= 1
    assert np.abs(masks[..., 1].astype(int) + alone[..., 0] - 255).max() <= 1


@pytest.mark.parametrize("num_frames", [1, 20, 64, 65, 100, 176])
def test_overlapping_chunks_cover_a_clip_once_with_all_neighbours(num_frames):
    covered, lengths = [], set()
    for first, last, (start, stop) in overlapping_chunks(num_frames, 15):
        lengths.add(last - first)
        for frame in range(first + start, first + stop):
            covered.append(frame)
            assert first <= max(frame - 15, 0)
            assert last >= min(frame + 16, num_frames)
    assert covered == list(range(num_frames))
    assert len(lengths) == 1  # One compilation.
