"""How a scanner sees the heart: sector, beam, speckle, gain, haze, display, compression.

The picture is formed where the scanner forms it, on a grid of beams and depths: scatterers times a
point-spread function of constant width in beams, hence smeared laterally with depth once the grid
is converted to an image. Envelope detection of the complex signal gives fully developed speckle
that moves with the tissue because the scatterers do.
"""

from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from echodfkd_jax.synthesis.phantom.decibels import NEPER, added, amplitude
from echodfkd_jax.synthesis.phantom.draws import Draws
from echodfkd_jax.synthesis.phantom.window import Grade, Window, by_darkness

FRAME_SIZE = 112
DEPTHS, BEAMS = 128, 96
_BLOCK = 8  # MJPEG transforms blocks of 8 x 8 pixels


class Sector(NamedTuple):
    """The fan-shaped field of view, pixels and radians."""

    x: Float[Array, ""]
    y: Float[Array, ""]
    left: Float[Array, ""]
    right: Float[Array, ""]
    near: Float[Array, ""]
    far: Float[Array, ""]


class Scanner(NamedTuple):
    """Settings and artefacts of one recording. Maps are (depths, beams) in dB or amplitude."""

    gain_db: Float[Array, "d b"]  # of the tissue's echoes: attenuation, shadows, patches
    tgc_db: Float[Array, "d 1"]  # the user's sliders: of all that comes from a depth
    clutter: Float[Array, "d b 2"]  # haze and reverberation that stay where they are
    shimmer: Float[Array, ""]  # share of the clutter that changes from frame to frame
    noise: Float[Array, "d b"]  # amplitude of electronic noise
    lateral: Float[Array, "5"]  # half of the beam's lateral profile
    axial: Float[Array, "2"]
    compound: Float[Array, "2"]  # averaging of the envelope over neighbours: depth, beams
    floor_db: Float[Array, ""]
    range_db: Float[Array, ""]
    gamma: Float[Array, ""]
    darkness: Float[Array, ""]  # of the picture, see `window.sample_darkness`
    white: Float[Array, ""]  # in dark pictures, the grey value of the brightest three hundredths
    blend: Float[Array, ""]  # persistence: share of the previous frame
    quality: Float[Array, ""]  # step of the compression's quantiser
    sharpness: Float[Array, ""]


def sample_sector(k: Draws) -> Sector:
    """Draws a field of view: about 90 degrees, sometimes narrow, off-centre or cropped."""
    narrow = jnp.where(k.chance(0.15), 0.72, 1.0)
    half = jnp.deg2rad(k.normal(43.0, 3.5, 30.0, 52.0)) * narrow
    return Sector(
        x=k.normal(57.0, 4.0, 44.0, 70.0),
        y=k.normal(4.0, 3.5, -8.0, 14.0),
        left=-half,
        right=half * jnp.where(k.chance(0.1), 0.7, 1.0),
        near=k.uniform(0.5, 9.0),
        far=k.normal(110.0, 8.0, 88.0, 135.0),
    )


def sector_points(sector: Sector) -> tuple[Float[Array, "d b"], Float[Array, "d b"]]:
    """Image pixels (x, y) of every sample of the scanner's grid."""
    depth = jnp.linspace(0.0, 1.0, DEPTHS) * (sector.far - sector.near) + sector.near
    angle = jnp.linspace(0.0, 1.0, BEAMS) * (sector.right - sector.left) + sector.left
    x = sector.x + depth[:, None] * jnp.sin(angle)[None]
    y = sector.y + depth[:, None] * jnp.cos(angle)[None]
    return x, y


def nearest_sample(
    sector: Sector, x: Float[Array, "*n"], y: Float[Array, "*n"]
) -> tuple[Int[Array, "*n"], Int[Array, "*n"]]:
    """Row (depth) and column (beam) of the scanner's grid next to image pixels."""
    dx, dy = x - sector.x, y - sector.y
    depth = (jnp.hypot(dx, dy) - sector.near) / (sector.far - sector.near) * (DEPTHS - 1)
    beam = (jnp.arctan2(dx, dy) - sector.left) / (sector.right - sector.left) * (BEAMS - 1)
    row = jnp.clip(jnp.round(depth), 0, DEPTHS - 1).astype(jnp.int32)
    return row, jnp.clip(jnp.round(beam), 0, BEAMS - 1).astype(jnp.int32)


def in_view(sector: Sector, x: Float[Array, "*n"], y: Float[Array, "*n"]) -> Bool[Array, "*n"]:
    """Which image pixels lie in the sector and in the picture."""
    dx, dy = x - sector.x, y - sector.y
    depth, angle = jnp.hypot(dx, dy), jnp.arctan2(dx, dy)
    in_sector = (depth < sector.far) & (angle > sector.left) & (angle < sector.right)
    return in_sector & (x >= 0) & (x < FRAME_SIZE) & (y >= 0) & (y < FRAME_SIZE)


def sample_scanner(k: Draws, window: Window, darkness: Float[Array, ""]) -> Scanner:
    """Draws a scanner. How murky the window is sets haze, noise and shadows together.

    Clear windows, and two in five of the fair ones, have little haze, little noise and even gain.
    In two of three poor ones a fog of clutter lies over the near half, mostly heavier on one side.
    """
    poor = window == Grade.POOR
    good = (window == Grade.CLEAR) | (k.chance(0.4) & ~poor)
    murk = jnp.where(good, 0.0, k.uniform(0.0, 1.0) ** 2)
    depth = jnp.linspace(0.0, 1.0, DEPTHS)[:, None]
    beam = jnp.linspace(0.0, 1.0, BEAMS)[None]
    gain, tgc = _gain(k, depth, beam, poor=poor, good=good, murk=murk)
    clutter = _clutter_level(k, depth, beam, poor=poor, good=good, murk=murk)
    texture = jax.random.normal(k.key(), (DEPTHS, BEAMS, 2))
    noise_db = k.uniform(by_darkness(darkness, -64.0, -72.0), by_darkness(darkness, -42.0, -50.0))
    noise_db = noise_db + 12.0 * murk * depth + k.uniform(0.0, 12.0) * depth**2
    width = k.uniform(0.25, 0.9)
    lateral = jnp.exp(-0.5 * (jnp.arange(5) / width) ** 2)
    axial = jnp.stack([jnp.ones(()), k.uniform(0.05, 0.4)])
    norm = jnp.sqrt((lateral[0] ** 2 + 2 * jnp.sum(lateral[1:] ** 2)) * (1 + 2 * axial[1] ** 2))
    return Scanner(
        gain_db=gain,
        tgc_db=tgc,
        clutter=texture * amplitude(clutter)[..., None],
        shimmer=k.uniform(0.1, 0.8),
        noise=amplitude(noise_db),
        lateral=lateral / norm,
        axial=axial,
        compound=k.uniform(0.0, 0.48, (2,)),
        floor_db=k.normal(-31.0, 4.0, -44.0, -18.0),
        range_db=k.normal(by_darkness(darkness, 36.0, 32.0), 5.0, 23.0, 52.0),
        gamma=jnp.exp(k.normal(by_darkness(darkness, 0.35, 0.62), 0.22, -0.2, 1.1)),
        darkness=darkness,
        white=k.normal(0.76, 0.08, 0.5, 0.95),
        blend=k.uniform(0.0, 0.5),
        quality=jnp.where(k.chance(0.3), 0.0, k.uniform(1.0, 14.0)),
        sharpness=k.uniform(-0.25, 0.35),
    )


def _gain(
    k: Draws, depth: Array, beam: Array, *, poor: Array | bool, good: Array | bool, murk: Array
) -> tuple[Float[Array, "d b"], Float[Array, "d 1"]]:
    """Gain of the tissue's echoes and of the user's sliders, dB."""
    mess = jnp.where(good, 0.3, 1.0)
    # The sliders: a wavy curve, often with a step that looks like a border but is none.
    step_at, step_width = k.uniform(0.15, 0.85), k.uniform(0.008, 0.08)
    step_db = k.uniform(-18.0, 8.0) * jnp.where(k.chance(0.6) & poor, 1.0, 0.0)
    tgc = k.smooth_curve(depth, 6, mess * k.uniform(0.0, 3.5))
    tgc = tgc + step_db * jax.nn.sigmoid((depth - step_at) / step_width)
    # Gain of the echoes: attenuation, side gain, fading edges, shadowed beams.
    gain = k.smooth_curve(depth, 4, mess * k.uniform(1.0, 5.0))
    gain = gain - k.uniform(-6.0, 16.0) * depth**1.5
    gain = gain + k.smooth_curve(beam, 3, mess * k.uniform(0.5, 5.0))
    edge = k.uniform(0.0, 22.0, (2,)) * murk
    gain = gain - edge[0] * jnp.clip(1.0 - beam / 0.35, 0.0, 1.0)
    gain = gain - edge[1] * jnp.clip(1.0 - (1.0 - beam) / 0.35, 0.0, 1.0)
    shadow_at, shadow_width = k.uniform(0.0, 1.0, (2,)), k.uniform(0.03, 0.12, (2,))
    shadow = k.uniform(0.0, 22.0, (2,)) * murk
    for i in range(2):
        gain = gain - shadow[i] * jnp.exp(-(((beam - shadow_at[i]) / shadow_width[i]) ** 2))
    patches = k.smooth_field(DEPTHS, BEAMS, 5, 7.0 * murk)
    gain = gain + jnp.minimum(patches, 3.0)
    # Users turn the far half up.
    gain = gain + k.uniform(0.0, 9.0) * jnp.clip(2.0 * depth - 1.0, 0.0, 1.0)
    return gain + k.uniform(-8.0, 5.0), tgc


def _clutter_level(
    k: Draws, depth: Array, beam: Array, *, poor: Array | bool, good: Array | bool, murk: Array
) -> Float[Array, "d b"]:
    """Clutter that stays, dB: near-field haze, broad veil, reverberation bands, fog, far grey."""
    haze_db = k.uniform(-46.0, -16.0) + 10.0 * murk - jnp.where(good, 12.0, 0.0)
    haze = haze_db - depth / k.uniform(0.03, 0.35) * 0.5 * NEPER
    veil_peak = k.uniform(0.0, 0.8)
    veil_db = k.uniform(-70.0, -36.0) + 14.0 * murk - jnp.where(good, 12.0, 0.0)
    veil = veil_db - 12.0 * ((depth - veil_peak) / 0.45) ** 2
    veil = veil + k.smooth_field(DEPTHS, BEAMS, 4, 5.0)
    bands = k.uniform(-56.0, -24.0) + 10.0 * jnp.cos(
        depth * k.uniform(40.0, 160.0) + k.uniform(0.0, 6.28)
    )
    bands = bands - depth * k.uniform(40.0, 120.0)
    foggy = k.chance(0.67) & poor
    fog_end, fog_fall = k.uniform(0.15, 0.65), k.uniform(20.0, 140.0)
    fog_side = k.uniform(-8.0, 22.0) * jnp.where(k.chance(0.75), 1.0 - beam, beam)
    fog = jnp.where(foggy, k.uniform(-34.0, -15.0), -90.0) - fog_side
    fog = fog - fog_fall * jnp.maximum(depth - fog_end, 0.0)
    fog = fog + k.smooth_field(DEPTHS, BEAMS, 5, 2.5)
    footprint = k.uniform(-14.0, 10.0) - depth / k.uniform(0.008, 0.03) * NEPER
    far = k.uniform(-58.0, -38.0) + 10.0 * jnp.clip((depth - 0.5) / 0.3, -4.0, 1.0)
    far = far + k.smooth_field(DEPTHS, BEAMS, 5, 4.0)
    return added(haze, veil, bands, fog, footprint, far)


def _shift(x: Float[Array, "*n"], by: int, axis: int) -> Float[Array, "*n"]:
    """X moved by a few samples, edges repeated. Slices, because gathers are slow on CPUs."""
    size = x.shape[axis]
    if by > 0:
        edge = jax.lax.slice_in_dim(x, 0, 1, axis=axis)
        parts = [edge] * by + [jax.lax.slice_in_dim(x, 0, size - by, axis=axis)]
    else:
        edge = jax.lax.slice_in_dim(x, size - 1, size, axis=axis)
        parts = [jax.lax.slice_in_dim(x, -by, size, axis=axis)] + [edge] * -by
    return jnp.concatenate(parts, axis=axis)


def beamform(scanner: Scanner, scatter: Float[Array, "d b 2"]) -> Float[Array, "d b 2"]:
    """Smears scatterers with the beam: lateral in beams, axial in samples."""
    out = scatter * scanner.lateral[0]
    for tap in range(1, 5):
        both = _shift(scatter, tap, 1) + _shift(scatter, -tap, 1)
        out = out + both * scanner.lateral[tap]
    return out + scanner.axial[1] * (_shift(out, 1, 0) + _shift(out, -1, 0))


def envelope(scanner: Scanner, signal: Float[Array, "d b 2"]) -> Float[Array, "d b"]:
    """Envelope, log compression, sliders: the received level in dB on the scanner's grid."""
    power = jnp.sum(signal**2, axis=-1) + 1e-9
    # Spatial compounding and the reduction to 112 pixels both average several speckles into one.
    for axis in (0, 1):
        share = scanner.compound[axis]
        power = power + share * (_shift(power, 1, axis) + _shift(power, -1, axis))
    power = power / ((1.0 + 2.0 * scanner.compound[0]) * (1.0 + 2.0 * scanner.compound[1]))
    return 0.5 * NEPER * jnp.log(power) + scanner.tgc_db


def adjust(scanner: Scanner, level: Float[Array, "d b"], shown: Float[Array, "d b"]) -> Scanner:
    """The scanner after its user has set the gain.

    In bright pictures a tenth is at least dark grey, and little is white; in dark ones something is
    bright, and hardly anything white.

    Args:
        scanner: as drawn.
        level: of one frame, dB.
        shown: 1 for samples that lie in the picture, else 0.
    """
    tenth = jnp.percentile(level, 90.0)
    grey = (tenth - scanner.floor_db) / scanner.range_db
    wanted = jnp.clip(grey, jnp.exp(jnp.log(0.35) / scanner.gamma), 1.05)
    bright_floor = tenth - wanted * scanner.range_db
    # Samples that nobody sees do not count; near ones, which are many to the pixel, count less.
    flat, weight = level.reshape(-1), (shown * jnp.linspace(0.1, 1.0, DEPTHS)[:, None]).reshape(-1)
    order = jnp.argsort(flat)
    total = jnp.cumsum(weight[order])
    brightest = flat[order][jnp.searchsorted(total, 0.97 * total[-1])]
    dark_floor = brightest - jnp.exp(jnp.log(scanner.white) / scanner.gamma) * scanner.range_db
    return scanner._replace(floor_db=by_darkness(scanner.darkness, bright_floor, dark_floor))


def display(scanner: Scanner, level: Float[Array, "d b"]) -> Float[Array, "d b"]:
    """Grey curve: 0 black to 1 white on the scanner's grid; in dark pictures flat towards white."""
    grey = jnp.maximum((level - scanner.floor_db) / scanner.range_db, 0.0)
    grey = jnp.exp(scanner.gamma * jnp.log(grey + 1e-5))
    return by_darkness(
        scanner.darkness, jnp.minimum(grey, 1.0), grey / (1.0 + grey**6) ** (1.0 / 6.0)
    )


class ScanConversion(NamedTuple):
    """Bilinear weights from the scanner's grid to the image; zero weight outside the sector."""

    index: Array  # (h*w,) int32, upper left sample
    weight: Float[Array, "4 n"]


def scan_conversion(sector: Sector) -> ScanConversion:
    """Weights for one field of view."""
    y, x = jnp.meshgrid(jnp.arange(FRAME_SIZE) * 1.0, jnp.arange(FRAME_SIZE) * 1.0, indexing="ij")
    dx, dy = (x - sector.x).ravel(), (y - sector.y).ravel()
    depth = (jnp.hypot(dx, dy) - sector.near) / (sector.far - sector.near) * (DEPTHS - 1)
    angle = (jnp.arctan2(dx, dy) - sector.left) / (sector.right - sector.left) * (BEAMS - 1)
    inside = (depth >= 0) & (depth <= DEPTHS - 1) & (angle >= 0) & (angle <= BEAMS - 1)
    row = jnp.clip(jnp.floor(depth), 0, DEPTHS - 2)
    column = jnp.clip(jnp.floor(angle), 0, BEAMS - 2)
    fr, fc = jnp.clip(depth - row, 0, 1), jnp.clip(angle - column, 0, 1)
    weight = jnp.stack([(1 - fr) * (1 - fc), (1 - fr) * fc, fr * (1 - fc), fr * fc])
    index = (row * BEAMS + column).astype(jnp.int32)
    return ScanConversion(index, weight * inside)


def to_image(conversion: ScanConversion, grid: Float[Array, "d b"]) -> Float[Array, "h w"]:
    """Scan-converts one frame."""
    flat = grid.reshape(-1)
    index, weight = conversion
    image = sum(
        weight[i] * jnp.take(flat, index + offset, mode="clip")
        for i, offset in enumerate((0, 1, BEAMS, BEAMS + 1))
    )
    return cast(Array, image).reshape(FRAME_SIZE, FRAME_SIZE)


def sample_markings(k: Draws, sector: Sector) -> Float[Array, "h w"]:
    """What the machine draws outside the sector: orientation mark, ruler with ticks, depth dots."""
    y, x = jnp.meshgrid(jnp.arange(FRAME_SIZE) * 1.0, jnp.arange(FRAME_SIZE) * 1.0, indexing="ij")

    def dot(at_x: Array, at_y: Array, size: Array | float) -> Array:
        return jnp.exp(-(((x - at_x) / size) ** 2 + ((y - at_y) / size) ** 2))

    side = jnp.where(k.chance(0.9), 1.0, -1.0)
    mark_y = jnp.maximum(sector.y, 0.0) + k.uniform(-2.0, 3.0)
    mark = dot(sector.x + side * k.uniform(5.0, 13.0), mark_y, k.uniform(0.8, 2.0))
    marks = mark * k.uniform(0.3, 1.0) * (k.chance(0.8))

    # A ruler beside the right flank, parallel to it.
    along = jnp.stack([jnp.sin(sector.right), jnp.cos(sector.right)])
    across = jnp.stack([along[1], -along[0]])
    start, length = k.uniform(30.0, 60.0), k.uniform(10.0, 30.0)
    px = (x - sector.x) * along[0] + (y - sector.y) * along[1] - start
    py = (x - sector.x) * across[0] + (y - sector.y) * across[1] - k.uniform(3.0, 16.0)
    on = (px > 0) & (px < length)
    ruler = jnp.exp(-((py / 0.7) ** 2)) * on
    tick = jnp.abs(px % (length / 3.0) - 0.5) < 0.8
    ruler = jnp.maximum(ruler, 0.8 * (tick & on & (jnp.abs(py) < 2.5)))
    marks = jnp.maximum(marks, ruler * k.uniform(0.4, 1.0) * (k.chance(0.6)))

    # Depth dots along the right or left flank.
    spacing = k.uniform(9.0, 20.0)
    radius = jnp.hypot(x - sector.x, y - sector.y)
    angle = jnp.arctan2(x - sector.x, y - sector.y)
    flank = jnp.where(side > 0, sector.right, sector.left)
    off = (angle - flank) * radius * side - 2.0
    dots = jnp.exp(-((off / 0.8) ** 2)) * (jnp.abs(radius % spacing - 1.0) < 0.7)
    return jnp.maximum(marks, dots * 0.7 * (k.chance(0.5)))


def _dct_matrix() -> np.ndarray:
    n = np.arange(_BLOCK)
    matrix = np.cos(np.pi * (2 * n[None] + 1) * n[:, None] / (2 * _BLOCK)) * np.sqrt(2 / _BLOCK)
    matrix[0] /= np.sqrt(2)
    return matrix.astype(np.float32)


def compress(image: Float[Array, "h w"], quality: Float[Array, ""]) -> Float[Array, "h w"]:
    """What MJPEG does to an image 0..255: block transform, coarser steps for finer detail."""
    dct = _dct_matrix()
    blocks = FRAME_SIZE // _BLOCK
    x = image.reshape(blocks, _BLOCK, blocks, _BLOCK)
    spectrum = jnp.einsum("ki,aibj,lj->akbl", dct, x, dct)
    fine = np.arange(_BLOCK)[:, None] + np.arange(_BLOCK)[None]
    step = (quality * (1.0 + 0.6 * fine) + 1e-3)[None, :, None, :]
    spectrum = jnp.round(spectrum / step) * step
    return jnp.einsum("ki,akbl,lj->aibj", dct, spectrum, dct).reshape(FRAME_SIZE, FRAME_SIZE)


def sharpen(image: Float[Array, "h w"], amount: Float[Array, ""]) -> Float[Array, "h w"]:
    """Unsharp mask (amount > 0) or blur (amount < 0) over the four neighbours."""
    around = _shift(image, 1, 0) + _shift(image, -1, 0) + _shift(image, 1, 1) + _shift(image, -1, 1)
    return image + amount * (image - 0.25 * around)


def to_uint8(image: Float[Array, "h w"]) -> UInt8[Array, "h w"]:
    """Grey values 0..255, rounded and clipped."""
    return jnp.clip(jnp.round(image), 0, 255).astype(jnp.uint8)
