import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.settings import AugmentSettings
from echodfkd_jax.training import augmentation

SIDE = 64
EVERYTHING = AugmentSettings(
    gain=0.5,
    gamma=0.5,
    speckle=0.3,
    blur_px=1.0,
    shift=0.1,
    rotation_degrees=20.0,
    scale=0.3,
    max_stride=3,
    sector_degrees=10.0,
)
# A clip's own noise takes half a minute to compile.
SETTINGS = [
    pytest.param(dataclasses.replace(EVERYTHING, speckle=0.0), id="all-but-speckle"),
    pytest.param(EVERYTHING, id="everything", marks=pytest.mark.slow),
]


def ellipse(y=31.5, x=31.5, half_height=20.0, half_width=10.0, degrees=0.0):
    """Inside of an ellipse; turned from down towards right."""
    down, right = np.mgrid[:SIDE, :SIDE] - np.array([y, x])[:, None, None]
    angle = np.radians(degrees)
    along = np.cos(angle) * down + np.sin(angle) * right
    across = np.cos(angle) * right - np.sin(angle) * down
    return (along / half_height) ** 2 + (across / half_width) ** 2 <= 1


@jax.jit
def move(frames, degrees, factor, shift_px):
    matrix, offset = augmentation.movement(degrees=degrees, factor=factor, shift_px=shift_px)
    return augmentation.resample(frames, matrix, offset)


@functools.cache
def compiled(settings, seed):
    change = augmentation.make_augment(settings, seed)

    def of_all_frames(step, rows, data):
        every = range(data["video"].shape[1])
        return change(step, rows, data, every, every)

    return jax.jit(of_all_frames)


def augment(settings, video, target, step=0, seed=0, rows=(0, 1, 2)):
    data = {"video": video, "target": target}
    changed = compiled(settings, seed)(jnp.int32(step), jnp.array(rows), data)
    return np.asarray(changed["video"]), np.asarray(changed["target"])


def moved(mask, degrees=0.0, factor=1.0, shift_px=(0.0, 0.0)):
    return np.asarray(move(jnp.float32(mask)[None], degrees, factor, jnp.array(shift_px)))[0]


def within_a_pixel(got, wanted):
    """Whether two masks differ only at each other's edge."""
    padded = np.pad(wanted, 1)
    views = [padded[y : y + SIDE, x : x + SIDE] for y in range(3) for x in range(3)]
    grown, shrunk = np.logical_or.reduce(views), np.logical_and.reduce(views)
    return not (got & ~grown).any() and not (shrunk & ~got).any()


def clips(seed=0, shape=(3, 3, 8, 12, 1)):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.integers(0, 256, shape), jnp.uint8) for _ in range(2)]


def test_no_movement_gives_the_same_bits():
    frame = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE)).astype(np.float32)
    np.testing.assert_array_equal(moved(frame), frame)


def test_whole_pixels_are_shifted_exactly_and_black_comes_in():
    frame = np.random.default_rng(0).integers(1, 256, (SIDE, SIDE)).astype(np.float32)
    got = moved(frame, shift_px=(2.0, -3.0))
    np.testing.assert_array_equal(got[2:, :-3], frame[:-2, 3:])
    assert (got[:2] == 0).all() and (got[:, -3:] == 0).all()


@pytest.mark.parametrize(
    ("movement", "wanted"),
    [
        ({"shift_px": (4.5, -6.25)}, {"y": 36.0, "x": 25.25}),
        ({"degrees": 30.0}, {"degrees": 30.0}),
        ({"factor": 1.4}, {"half_height": 28.0, "half_width": 14.0}),
        ({"factor": 0.5}, {"half_height": 10.0, "half_width": 5.0}),
        (
            {"degrees": -50.0, "factor": 1.2, "shift_px": (3.0, 5.0)},
            {"degrees": -50.0, "half_height": 24.0, "half_width": 12.0, "y": 34.5, "x": 36.5},
        ),
    ],
)
def test_a_moved_ellipse_is_the_ellipse_drawn_there(movement, wanted):
    assert within_a_pixel(moved(ellipse(), **movement) > 0.5, ellipse(**wanted))


@pytest.mark.parametrize("movement", [{"shift_px": (4.5, -6.25)}, {"degrees": 30.0}])
def test_shift_and_rotation_keep_the_area(movement):
    assert moved(ellipse(), **movement).sum() == pytest.approx(ellipse().sum(), rel=0.005)


def test_enlarging_multiplies_the_area():
    got = moved(ellipse(), factor=1.25).sum()
    assert got == pytest.approx(1.25**2 * ellipse().sum(), rel=0.02)


def test_video_and_mask_move_alike():
    settings = AugmentSettings(shift=0.2, rotation_degrees=45.0, scale=0.5)
    video, _ = clips()
    moved_video, moved_target = augment(settings, video, video)
    np.testing.assert_array_equal(moved_video, moved_target)
    assert (moved_video != video).any()


@pytest.mark.parametrize(
    "settings",
    [
        AugmentSettings(gain=1.0),
        AugmentSettings(gamma=1.0),
        AugmentSettings(speckle=0.5),
        AugmentSettings(blur_px=2.0),
        AugmentSettings(sector_degrees=30.0),
    ],
)
def test_grey_values_and_the_sector_change_the_video_alone(settings):
    video, target = (clip[0] for clip in clips())
    video, every = video[..., 0], range(len(video))
    changed, same = augmentation.augment_clip(
        jax.random.key(0), video, target, settings=settings, seen=every, outlined=every
    )
    assert changed.dtype == jnp.uint8
    assert (changed != video).any()
    np.testing.assert_array_equal(same, target)


def test_frames_that_nobody_looks_at_are_left_out():
    video, target = (clip[0] for clip in clips())
    settings = AugmentSettings(gain=1.0, gamma=1.0, shift=0.1, veil=0.0)
    whole, shown = (
        augmentation.augment_clip(
            jax.random.key(3), video[..., 0], target, settings=settings, seen=seen, outlined=(1,)
        )
        for seen in (range(len(video)), (0, 1))
    )
    np.testing.assert_array_equal(shown[0][:2], whole[0][:2])
    assert whole[0][2:].any()
    assert not shown[0][2:].any()
    np.testing.assert_array_equal(shown[1], whole[1])
    assert shown[1].shape == (1, *target.shape[1:])


def test_a_clip_stands_still_at_a_frame_that_is_outlined():
    video, target = (clip[0] for clip in clips())
    target = target.at[:2].set(0)  # Of these nobody made a mask.
    changed, wanted = augmentation.augment_clip(
        jax.random.key(0),
        video[..., 0],
        target,
        settings=AugmentSettings(still=1.0),
        seen=range(len(video)),
        outlined=(2,),
    )
    np.testing.assert_array_equal(changed, jnp.repeat(video[2:3, ..., 0], len(video), axis=0))
    np.testing.assert_array_equal(wanted, target[2:3])


def test_stride_keeps_frames_and_masks_together():
    frames = jnp.arange(5, dtype=jnp.uint8)[:, None, None] * jnp.ones((1, 2, 2), jnp.uint8)
    for stride, wanted in ((1, [0, 1, 2, 3, 4]), (2, [0, 2, 4, 2, 0]), (3, [0, 3, 2, 1, 4])):
        assert augmentation.quicken(frames, stride)[:, 0, 0].tolist() == wanted


def test_blur_of_a_point_is_a_gaussian_and_none_is_none():
    point = jnp.zeros((1, 31, 31)).at[0, 15, 15].set(1.0)
    got = jax.jit(augmentation.blur)(point, 2.0)[0]
    assert float(got.sum()) == pytest.approx(1.0, rel=1e-5)
    assert float(got[15, 17] / got[15, 15]) == pytest.approx(np.exp(-0.5), rel=1e-5)
    assert float(got[17, 17] / got[15, 15]) == pytest.approx(np.exp(-1.0), rel=1e-5)
    np.testing.assert_array_equal(jax.jit(augmentation.blur)(point, 0.0), point)


def test_the_sector_is_cut_on_its_own_side():
    left_cut = np.asarray(augmentation.sector(10, 21, jnp.array([10.0, 45.0])))
    # The row 9.5 below the tip: tan(10) * 9.5 = 1.7 pixels to the left, 9.5 to the right.
    assert np.flatnonzero(left_cut[9]).tolist() == list(range(9, 20))


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_same_seed_step_and_row_give_the_same_clip_and_others_another(settings):
    video, target = clips()
    first = augment(settings, video, target, step=5)
    again = augment(settings, video, target, step=5)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    for other in ({"step": 6}, {"step": 5, "rows": (3, 4, 5)}):
        assert (augment(settings, video, target, **other)[0] != first[0]).any()


def test_every_seed_step_and_row_has_a_key_of_its_own():
    rows = jnp.arange(2)
    drawn = [
        augmentation.clip_keys(seed, jnp.int32(step), rows) for seed in (0, 1) for step in (0, 1)
    ]
    assert len(np.unique(np.concatenate([jax.random.key_data(k) for k in drawn]), axis=0)) == 8


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_clip_does_not_depend_on_its_neighbours(settings):
    video, target = clips()
    whole = augment(settings, video, target)
    turned = augment(settings, video[::-1], target[::-1], rows=(2, 1, 0))
    for got, wanted in zip(turned, whole):
        np.testing.assert_array_equal(got[::-1], wanted)


def test_rows_are_those_of_the_whole_batch():
    rows = functools.partial(augmentation.rows_of_device, 4, micro_batches=2, num_devices=2)
    # Parts of four rows, each divided over two devices.
    assert rows(device=0).tolist() == [0, 1, 4, 5]
    assert rows(device=1).tolist() == [2, 3, 6, 7]


def test_all_off_is_nothing_at_all():
    assert augmentation.make_augment(AugmentSettings(), seed=0) is None


@pytest.mark.parametrize(
    ("field", "value"), [("gain", -0.1), ("shift", 0.6), ("sector_degrees", 50.0)]
)
def test_impossible_strengths_are_refused_by_name(field, value):
    with pytest.raises(UserError, match=rf"config\.augment\.{field}={value}: expected 0 \(off\)"):
        AugmentSettings(**{field: value})
    with pytest.raises(UserError, match=r"config\.augment\.max_stride=0"):
        AugmentSettings(max_stride=0)
