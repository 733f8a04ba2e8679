import math

import numpy as np
import pytest

from echodfkd_jax.measurement import disks


def ellipse(long_px, short_px, angle_degrees, size=112):
    """A filled ellipse with the given semi-axes, the long one `angle` from the vertical."""
    angle = np.deg2rad(angle_degrees)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    along = y * np.cos(angle) + x * np.sin(angle)
    across = x * np.cos(angle) - y * np.sin(angle)
    return (along / long_px) ** 2 + (across / short_px) ** 2 <= 1


@pytest.mark.parametrize("angle", [0, 17, 45, 90])
def test_volume_of_an_ellipsoid(angle):
    closed_form = 4 / 3 * math.pi * 40 * 20**2
    volume = disks.volume_px3(ellipse(40, 20, angle))
    assert volume == pytest.approx(closed_form, rel=0.01)


def test_volume_of_a_cylinder_is_exact():
    mask = np.zeros((60, 60), bool)
    mask[10:50, 20:30] = True
    # A disk whose edge runs between two points gets a row of points more than its neighbour, so
    # take a number of disks that divides the 40 rows.
    assert disks.volume_px3(mask, num_disks=20) == pytest.approx(math.pi / 4 * 10**2 * 40)


def test_one_disk_loses_the_shape():
    # A triangle's volume by one disk is that of a cylinder of its mean width.
    mask = np.tri(40, dtype=bool)[:, :20]
    many, one = disks.volume_px3(mask), disks.volume_px3(mask, num_disks=1)
    assert many > 1.1 * one


def test_twice_the_size_is_eight_times_the_volume():
    small, large = disks.volume_px3(ellipse(20, 10, 30)), disks.volume_px3(ellipse(40, 20, 30))
    assert large / small == pytest.approx(8, rel=0.03)


def test_an_empty_mask_has_no_volume():
    assert disks.volume_px3(np.zeros((4, 4), bool)) == 0.0


def test_one_pixel_is_a_cylinder_of_one_pixel():
    mask = np.zeros((5, 5), bool)
    mask[2, 2] = True
    assert disks.volume_px3(mask, num_disks=4) == pytest.approx(math.pi / 4)


def test_a_stray_pixel_changes_nothing():
    mask = ellipse(30, 15, 0)
    strayed = mask.copy()
    strayed[0, 0] = True
    assert disks.volume_px3(strayed) == disks.volume_px3(mask)


def test_millilitres_need_the_pixel_spacing():
    assert disks.volume_ml(1000.0, 2.0) == 8.0
    assert math.isnan(disks.volume_ml(1000.0, math.nan))
