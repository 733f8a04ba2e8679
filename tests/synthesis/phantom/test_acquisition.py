import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.synthesis.phantom import acquisition
from echodfkd_jax.synthesis.phantom.draws import Draws
from echodfkd_jax.synthesis.phantom.window import Grade


@functools.cache
def draw_scanner(seed, darkness=0.0):
    """One scanner for all tests: compiled once, drawn once."""
    dark = jnp.asarray(darkness)
    draw = jax.jit(lambda key: acquisition.sample_scanner(Draws(key), Grade.CLEAR, dark))
    return draw(jax.random.key(seed))


def sector(**fields):
    values = {"x": 56.0, "y": 4.0, "left": -0.7, "right": 0.7, "near": 2.0, "far": 100.0} | fields
    return acquisition.Sector(**{name: jnp.asarray(value) for name, value in values.items()})


def test_nothing_is_shown_outside_the_sector():
    conversion = acquisition.scan_conversion(sector())
    image = np.asarray(
        acquisition.to_image(conversion, jnp.ones((acquisition.DEPTHS, acquisition.BEAMS)))
    )
    assert image[50, 56] == 1.0  # straight below the probe
    assert image[2, 56] == 0.0  # above it
    assert image[20, 2] == image[20, 110] == 0.0  # beside the fan
    assert image[111, 56] == 0.0  # deeper than the last sample


def test_scan_conversion_puts_a_beam_where_it_points():
    grid = jnp.zeros((acquisition.DEPTHS, acquisition.BEAMS)).at[:, 0].set(1.0)
    image = np.asarray(acquisition.to_image(acquisition.scan_conversion(sector()), grid))
    rows, columns = np.nonzero(image > 0.5)
    angles = np.arctan2(columns - 56.0, rows - 4.0)
    np.testing.assert_allclose(angles, -0.7, atol=0.05)


@pytest.mark.slow
def test_speckle_of_a_point_is_wider_deep_than_near():
    scanner = draw_scanner(0)
    conversion = acquisition.scan_conversion(sector())

    def width(depth):
        grid = jnp.zeros((acquisition.DEPTHS, acquisition.BEAMS, 2))
        grid = grid.at[depth, acquisition.BEAMS // 2, 0].set(1.0)
        spread = acquisition.beamform(scanner, grid)[..., 0]
        image = np.asarray(acquisition.to_image(conversion, spread))
        return (image.max(0) > 0.3 * image.max()).sum()

    assert width(110) > width(30)


def test_lossless_compression_changes_nothing():
    image = jax.random.uniform(jax.random.key(0), (112, 112)) * 255
    out = acquisition.compress(image, jnp.asarray(0.0))
    np.testing.assert_allclose(out, image, atol=0.05)


def test_strong_compression_flattens_blocks_of_eight():
    image = jax.random.uniform(jax.random.key(0), (112, 112)) * 20 + 100
    out = np.asarray(acquisition.compress(image, jnp.asarray(60.0)))
    block = out[8:16, 16:24]
    assert block.std() < 0.2 * np.asarray(image)[8:16, 16:24].std()


def test_brighter_echoes_are_shown_brighter():
    scanner = draw_scanner(1)
    weak, strong = (
        jnp.full((acquisition.DEPTHS, acquisition.BEAMS, 2), 10 ** (level / 20))
        for level in (-25.0, -10.0)
    )
    dark, bright = (
        acquisition.display(scanner, acquisition.envelope(scanner, echo)) for echo in (weak, strong)
    )
    assert float(bright.mean()) > float(dark.mean())


def all_in_view():
    return jnp.ones((acquisition.DEPTHS, acquisition.BEAMS))


@pytest.mark.parametrize("gain_db", [-40.0, 0.0, 40.0])
def test_whatever_the_gain_a_tenth_of_the_picture_is_seen_and_not_all_is_white(gain_db):
    scanner = draw_scanner(1)
    level = gain_db + jnp.linspace(-60.0, 0.0, acquisition.DEPTHS * acquisition.BEAMS)
    level = level.reshape(acquisition.DEPTHS, acquisition.BEAMS)
    grey = acquisition.display(acquisition.adjust(scanner, level, all_in_view()), level)
    assert float(jnp.percentile(grey, 90.0)) > 0.25
    assert float(jnp.mean(grey > 0.99)) < 0.15


@pytest.mark.parametrize("gain_db", [-40.0, 40.0])
def test_dark_pictures_have_something_bright_and_the_rest_is_darker_than_in_bright_ones(gain_db):
    level = gain_db + jnp.linspace(-60.0, 0.0, acquisition.DEPTHS * acquisition.BEAMS)
    level = level.reshape(acquisition.DEPTHS, acquisition.BEAMS)[:, ::-1]
    greys = []
    for darkness in (0.0, 1.0):
        scanner = draw_scanner(1, darkness)
        adjusted = acquisition.adjust(scanner, level, all_in_view())
        greys.append(np.asarray(acquisition.display(adjusted, level)))
    bright, dark = greys
    assert 0.5 < np.percentile(dark, 97.0) < 0.97
    assert np.median(dark) < np.median(bright)


def test_what_nobody_sees_does_not_set_the_gain():
    scanner = draw_scanner(1, 1.0)
    level = jnp.full((acquisition.DEPTHS, acquisition.BEAMS), -20.0)
    hidden = level.at[:, :8].set(40.0)
    seen = all_in_view().at[:, :8].set(0.0)
    np.testing.assert_allclose(
        acquisition.adjust(scanner, hidden, seen).floor_db,
        acquisition.adjust(scanner, level, seen).floor_db,
        atol=1e-4,
    )


def test_nothing_is_whiter_than_white():
    scanner = draw_scanner(1)
    grey = acquisition.display(scanner, jnp.asarray([[-300.0, 0.0, 300.0]]))
    assert float(grey[0, 0]) < 1e-3
    assert float(grey[0, 2]) == pytest.approx(1.0, rel=1e-4)


def test_only_what_is_in_the_sector_and_in_the_picture_is_in_view():
    whole = acquisition.Sector(*(jnp.asarray(v) for v in (56.0, 2.0, -0.7, 0.7, 1.0, 130.0)))
    x = jnp.asarray([56.0, 10.0, 56.0, 56.0])
    y = jnp.asarray([60.0, 20.0, 120.0, 0.0])  # Middle; beside the fan; below; behind the probe.
    assert acquisition.in_view(whole, x, y).tolist() == [True, False, False, False]


def test_the_sliders_raise_all_that_comes_from_a_depth():
    scanner = draw_scanner(1)
    signal = jax.random.normal(jax.random.key(2), (acquisition.DEPTHS, acquisition.BEAMS, 2))
    flat = scanner._replace(tgc_db=jnp.zeros((acquisition.DEPTHS, 1)))
    stepped = scanner._replace(tgc_db=flat.tgc_db.at[64:].set(-12.0))
    change = acquisition.envelope(stepped, signal) - acquisition.envelope(flat, signal)
    np.testing.assert_allclose(change[:64], 0.0, atol=1e-4)
    np.testing.assert_allclose(change[64:], -12.0, atol=1e-4)


def test_the_nearest_sample_of_a_pixel_is_the_beam_and_depth_that_show_it():
    x, y = acquisition.sector_points(sector())
    row, column = acquisition.nearest_sample(
        sector(), x[[3, 60, 120], [5, 48, 90]], y[[3, 60, 120], [5, 48, 90]]
    )
    assert row.tolist() == [3, 60, 120]
    assert column.tolist() == [5, 48, 90]
