import io
import math

import av
import numpy as np
import PIL.Image
import pytest

from echodfkd_jax.reporting import overlays
from echodfkd_jax.reporting.colours import COLOURS, as_hex, colour


def test_outline_of_a_square():
    mask = np.zeros((5, 5), bool)
    mask[1:4, 1:4] = True
    expected = mask.copy()
    expected[2, 2] = False
    np.testing.assert_array_equal(overlays.outline(mask), expected)


def test_outline_closes_at_the_border():
    np.testing.assert_array_equal(
        overlays.outline(np.ones((3, 3), bool)), [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    )


def test_an_outline_has_its_models_colour_and_the_rest_stays_grey():
    frame = np.full((8, 8), 100, np.uint8)
    mask = np.zeros((8, 8), np.uint8)
    mask[2:6, 2:6] = 255
    picture = overlays.draw_outlines(frame, {"student": mask}, scale=3)
    assert picture.shape == (24, 24, 3)
    coloured = (picture == colour("student")).all(axis=-1)
    grey = (picture == 100).all(axis=-1)
    assert (coloured ^ grey).all()
    assert coloured.any() and not coloured[12, 12] and not coloured[0, 0]


def test_an_empty_mask_has_no_outline():
    frame = np.full((4, 4), 7, np.uint8)
    picture = overlays.draw_outlines(frame, {"student": np.zeros((4, 4), np.uint8)})
    assert (picture == 7).all()


def test_the_first_model_is_drawn_last():
    frames = np.zeros((1, 4, 4), np.uint8)
    full = np.full((1, 4, 4), 255, np.uint8)
    pictures = overlays.clip_pictures(frames, {"student": full, "teacher": full}, scale=1)
    assert tuple(pictures[0, 0, 0]) == COLOURS["student"]


def test_references_are_drawn_on_their_frames_and_marks_at_the_top():
    frames = np.zeros((3, 6, 6), np.uint8)
    reference = np.zeros((1, 6, 6), bool)
    reference[0, 3:, 3:] = True
    pictures = overlays.clip_pictures(
        frames,
        {},
        reference_frames=np.array([1]),
        reference_masks=reference,
        marks={2: (1, 2, 3)},
        scale=1,
    )
    assert (pictures[0] == 0).all()
    assert tuple(pictures[1, 5, 5]) == COLOURS["reference"]
    assert tuple(pictures[2, 0, 0]) == (1, 2, 3)
    assert (pictures[2, 2:] == 0).all()


def test_a_strip_is_as_wide_as_its_frames():
    frames = np.zeros((10, 4, 4), np.uint8)
    strip = overlays.clip_strip(frames, {"student": frames}, num_frames=3, scale=2)
    assert strip.shape == (8, 24, 3)


def test_a_strip_of_a_short_clip_repeats_nothing():
    frames = np.zeros((2, 4, 4), np.uint8)
    assert overlays.clip_strip(frames, {}, num_frames=6, scale=1).shape == (4, 8, 3)


def moving_dot(num_frames, height, width):
    pictures = np.zeros((num_frames, height, width, 3), np.uint8)
    for index in range(num_frames):
        pictures[index, :, index * 4 : index * 4 + 8] = 255
    return pictures


def test_mp4_has_every_frame_and_even_sides():
    content = overlays.encode_mp4(moving_dot(7, 33, 65), fps=50.0)
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(stream)]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 50
    assert len(frames) == 7
    assert frames[0].shape == (34, 66)
    assert frames[6][10, 28] > 200 and frames[6][10, 8] < 60


def test_mp4_of_an_unknown_rate_has_the_default_one():
    content = overlays.encode_mp4(moving_dot(2, 16, 16), fps=math.nan)
    with av.open(io.BytesIO(content)) as container:
        assert container.streams.video[0].average_rate == overlays.DEFAULT_FPS


def test_mp4_repeats_byte_for_byte():
    pictures = moving_dot(5, 32, 48)
    assert overlays.encode_mp4(pictures, 25.0) == overlays.encode_mp4(pictures, 25.0)


def test_nothing_cannot_be_encoded():
    with pytest.raises(ValueError, match="no pictures"):
        overlays.encode_mp4(np.zeros((0, 8, 8, 3), np.uint8))


def test_png_is_lossless():
    picture = moving_dot(1, 8, 16)[0]
    with PIL.Image.open(io.BytesIO(overlays.encode_png(picture))) as image:
        np.testing.assert_array_equal(np.asarray(image), picture)


def test_colours_as_css():
    assert as_hex("teacher") == "#e69f00"
    assert len(set(COLOURS.values())) == len(COLOURS)
