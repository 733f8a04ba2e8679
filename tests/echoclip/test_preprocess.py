import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.echoclip.preprocess import preprocess, resize_and_crop

GOLDEN = pathlib.Path(__file__).parents[1] / "testdata" / "echoclip.npz"


def test_golden_frames_are_matched():
    golden = np.load(GOLDEN)
    images = jax.jit(preprocess)(jnp.asarray(golden["frames"]))
    expected = golden["preprocessed"].astype(np.float32).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(images, expected, rtol=0, atol=1e-3)


def test_golden_pixels_are_matched_exactly():
    golden = np.load(GOLDEN)
    normalised = golden["preprocessed"][:, 0].astype(np.float64)
    expected = np.round((normalised * 0.26862954 + 0.48145466) * 255)
    np.testing.assert_array_equal(resize_and_crop(jnp.asarray(golden["frames"]), 224), expected)


@pytest.mark.parametrize(
    ("height", "width", "new_height", "new_width"),
    [(112, 112, 224, 224), (224, 224, 224, 224), (90, 301, 224, 749), (600, 800, 224, 298)],
)
def test_every_pixel_equals_pillows(height, width, new_height, new_width):
    image_module = pytest.importorskip("PIL.Image")
    # Noise of black and white overshoots at every edge, so that clipping is seen too.
    frame = np.random.default_rng(0).choice([0, 255, 77], (height, width)).astype(np.uint8)
    image = image_module.fromarray(frame)
    # One axis per call: Pillow's own order of the two depends on its version.
    image = image.resize((new_width, height), image_module.Resampling.BICUBIC)
    image = image.resize((new_width, new_height), image_module.Resampling.BICUBIC)
    left = round((new_width - 224) / 2)
    expected = np.asarray(image)[:, left : left + 224]
    np.testing.assert_array_equal(resize_and_crop(jnp.asarray(frame[None]), 224)[0], expected)


def test_a_tall_frame_loses_top_and_bottom():
    frame = np.zeros((1, 20, 4), np.uint8)
    frame[:, 8:12] = 200
    assert (resize_and_crop(jnp.asarray(frame), 4) == 200).all()


def test_a_constant_frame_is_normalised_per_channel():
    image = preprocess(jnp.full((1, 8, 8), 255, jnp.uint8), size=16)
    expected = [(1 - 0.48145466) / 0.26862954, (1 - 0.4578275) / 0.26130258, 2.1459]
    np.testing.assert_allclose(image[0, 3, 5], expected, rtol=1e-4)
