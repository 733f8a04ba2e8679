import functools

import jax
import numpy as np
import pytest

from echodfkd_jax.synthesis import STRUCTURES, make_clip
from echodfkd_jax.synthesis.phantom.clip import readable, sample_scene
from echodfkd_jax.synthesis.phantom.window import Grade
from experiments.border_profile import DISTANCES, frame_profile

NUM_CLIPS, NUM_FRAMES = 12, 40


@jax.jit
@jax.vmap
def make_clips(key):
    return make_clip(key, num_frames=NUM_FRAMES)


def keys():
    return jax.random.split(jax.random.key(3), NUM_CLIPS)


@pytest.fixture(scope="module")
def clips():
    return jax.tree.map(np.asarray, make_clips(keys()))


def test_shapes_and_types(clips):
    assert clips.frames.shape == clips.mask.shape == (NUM_CLIPS, NUM_FRAMES, 112, 112)
    assert clips.frames.dtype == np.uint8
    assert clips.mask.dtype == bool


def test_a_clip_depends_on_its_own_key_only(clips):
    backwards = make_clips(keys()[::-1])
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[::-1]), clips, backwards)


@pytest.mark.slow  # A program of its own.
def test_a_clip_alone_is_the_one_of_a_batch(clips):
    alone = jax.jit(lambda key: make_clip(key, num_frames=NUM_FRAMES))(keys()[5])
    # Another batch is another program: rounding may tip a grey value or a pixel of the outline.
    difference = np.abs(np.asarray(alone.frames).astype(int) - clips.frames[5])
    assert np.mean(difference > 1) < 1e-3
    assert np.mean(np.asarray(alone.mask) != clips.mask[5]) < 1e-4


def test_structures_never_overlap_and_the_first_is_the_cavity(clips):
    assert clips.structures.shape == (NUM_CLIPS, NUM_FRAMES, 112, 112, len(STRUCTURES))
    assert clips.structures.sum(-1).max() == 1
    np.testing.assert_array_equal(clips.structures[..., 0], clips.mask)


def test_the_myocardium_surrounds_the_cavity_but_for_its_base(clips):
    from scipy import ndimage

    covered = []
    for clip in range(NUM_CLIPS):
        frame = clips.structures[clip, clips.ed_frame[clip]]
        ring = ndimage.binary_dilation(frame[..., 0], iterations=2) & ~frame[..., 0]
        covered.append(frame[..., STRUCTURES.index("lv_myocardium")][ring].mean())
    # The base, where there is none, is about a fifth of the outline.
    assert 0.6 < np.mean(covered) < 0.9


def test_the_left_atrium_fills_while_the_ventricle_empties(clips):
    atrium = clips.structures[..., STRUCTURES.index("la")].sum((2, 3))
    rows = np.arange(NUM_CLIPS)
    grown = atrium[rows, clips.es_frame] - atrium[rows, clips.ed_frame]
    assert np.mean(grown > 0) > 0.7 and grown.mean() > 50


def test_the_outline_runs_where_the_blood_ends_inside_of_the_bright_septum(clips):
    frames = [clip[ed] for clip, ed in zip(clips.frames, clips.ed_frame)]
    masks = [mask[ed] for mask, ed in zip(clips.mask, clips.ed_frame)]
    septal = np.nanmean([frame_profile(f, m)[0] for f, m in zip(frames, masks)], axis=0)
    at = dict(zip(DISTANCES.tolist(), septal))
    assert at[-4] < 25 and at[3] > 60
    assert at[0] < 0.5 * at[3]  # On the outline it is still dark.


def test_ed_and_es_are_the_frames_of_largest_and_smallest_area(clips):
    areas = clips.mask.sum((2, 3))
    assert (clips.ed_frame == areas.argmax(1)).all()
    assert (clips.es_frame == areas.argmin(1)).all()


def test_ventricles_contract_between_ed_and_es(clips):
    areas = clips.mask.sum((2, 3))
    assert (areas.min(1) < 0.97 * areas.max(1)).all()
    assert (clips.ef_percent > 3).all()
    assert (clips.ef_percent < 85).all()


def test_ef_follows_from_the_volumes(clips):
    expected = 100 * (clips.edv_ml - clips.esv_ml) / clips.edv_ml
    np.testing.assert_allclose(clips.ef_percent, expected, rtol=1e-5)


def test_hearts_differ(clips):
    areas = clips.mask.sum((2, 3)).max(1)
    assert areas.max() > 1.5 * areas.min()
    assert clips.ef_percent.std() > 5


def test_the_cavity_is_darker_than_the_wall_around_it(clips):
    from scipy import ndimage

    contrast = []
    for clip in range(NUM_CLIPS):
        mask = clips.mask[clip, clips.ed_frame[clip]]
        ring = ndimage.binary_dilation(mask, iterations=6) & ~ndimage.binary_dilation(mask)
        frame = clips.frames[clip, clips.ed_frame[clip]].astype(float)
        contrast.append(frame[ring].mean() - frame[ndimage.binary_erosion(mask)].mean())
    assert np.mean(np.asarray(contrast) > 5) > 0.7


def test_speckle_changes_little_from_frame_to_frame_and_much_over_a_clip(clips):
    def correlation(a, b):
        return np.corrcoef(a.ravel().astype(float), b.ravel().astype(float))[0, 1]

    near = [correlation(c[0], c[1]) for c in clips.frames]
    ed_es = [
        correlation(c[e], c[s]) for c, e, s in zip(clips.frames, clips.ed_frame, clips.es_frame)
    ]
    assert np.mean(near) > np.mean(ed_es) + 0.03
    assert np.mean(near) < 0.999


@pytest.mark.slow
@pytest.mark.slow
def test_clutter_that_hides_the_wall_is_turned_down_and_other_clutter_left_alone():
    scene = jax.jit(functools.partial(sample_scene, num_frames=4))(jax.random.key(0))
    at_rest = scene.movement._replace(contraction=np.float32(0))

    @jax.jit
    def cleared(scanner):
        heart, levels, pose = scene.heart, scene.levels, scene.pose
        return readable(scanner, scene.sector, heart, levels, pose, at_rest, Grade.CLEAR)

    loud = scene.scanner._replace(clutter=1e3 * scene.scanner.clutter)
    quiet = cleared(loud)
    assert np.abs(quiet.clutter).max() < 0.1 * np.abs(loud.clutter).max()
    # Once half of the wall is seen, nothing more is done.
    np.testing.assert_allclose(cleared(quiet).clutter, quiet.clutter, rtol=1e-4)
    clear = scene.scanner._replace(
        clutter=1e-4 * scene.scanner.clutter, noise=1e-4 * scene.scanner.noise
    )
    np.testing.assert_array_equal(cleared(clear).clutter, clear.clutter)
