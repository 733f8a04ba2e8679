import numpy as np
import pytest

from experiments.border_profile import DISTANCES, frame_profile, gaps, profiles, recorded
from tests.clips.echonet_folder import beat, build_synthetic


def disc(radius=30):
    y, x = np.mgrid[:112, :112]
    distance = np.hypot(x - 56, y - 56)
    return distance, distance < radius


def test_a_ring_of_light_is_found_at_its_distance():
    distance, mask = disc()
    frame = np.where((distance > 33) & (distance < 36), 200, 10).astype(np.uint8)
    septal, lateral, _, _ = frame_profile(frame, mask)
    for values in (septal, lateral):
        at = dict(zip(DISTANCES.tolist(), values))
        assert at[4] == pytest.approx(100.0, abs=4.0)
        assert at[-4] == pytest.approx(5.0, abs=1.0)
        assert at[10] == pytest.approx(5.0, abs=1.0)


def test_largest_frames_are_ed_and_smallest_es():
    frames = np.zeros((24, 112, 112), np.uint8)
    masks = np.stack([disc(radius)[1] for radius in range(20, 44)])
    frames[:3] = 100  # The smallest ventricles are in bright frames.
    rows = profiles([(frames, masks)])
    assert np.nanmax(rows[0]) == 0.0
    assert np.nanmin(rows[1]) == 100.0


def test_a_folder_gives_frames_and_cavities_of_the_same_shape(tmp_path):
    folder = build_synthetic(tmp_path, num_clips=1, num_frames=6)
    drawn = beat(6)[1]
    (folder / "TeacherMasks").mkdir()
    np.save(folder / "TeacherMasks" / "sample_000000.npy", drawn)
    ((frames, masks),) = recorded(folder)
    assert frames.shape == (6, 112, 112)
    np.testing.assert_array_equal(masks, drawn > 127)


def test_the_gap_is_the_mean_distance_over_what_both_have():
    one = np.zeros((2, 4, 21))
    other = np.full((2, 4, 21), 6.0)
    other[:, 1, :10] = np.nan
    np.testing.assert_allclose(gaps(one, other), 6.0)
