import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.settings import InputSettings
from echodfkd_jax.training.batches import Shard
from echodfkd_jax.training.input import DatasetInput, GeneratorInput
from echodfkd_jax.training.windows import Pixels, Window
from echodfkd_jax.types import Clip


def _settings(**changes):
    fields = {
        "source": "dataset",
        "target": "teacher",
        "window_frames": 4,
        "num_threads": 0,
        "cache_gib": 1.0,
    }
    return InputSettings(**(fields | changes))


def _clip(number, frames=10):
    """Pixel = 10 * clip + frame, the teacher's mask one more."""
    pixels = (
        (10 * number + np.arange(frames, dtype=np.uint8))[:, None, None].repeat(2, 1).repeat(2, 2)
    )
    nan = float("nan")
    return Clip(
        name=f"clip_{number}",
        frames=pixels,
        fps=50.0,
        ef_percent=nan,
        edv_ml=nan,
        esv_ml=nan,
        ed_frame=-1,
        es_frame=-1,
        reference_frames=np.arange(2),
        reference_masks=np.ones((2, 2, 2, 1), bool),
        teacher_mask=pixels[..., None] + np.uint8(1),
    )


class Split:
    def __init__(self, count, frames=10):
        self.count, self.frames, self.reads = count, frames, 0

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.reads += 1
        return _clip(index, self.frames)


def _input(train=7, validation=3, frames=10, seed=0, **changes):
    return DatasetInput(
        Split(train, frames),
        Split(validation, frames),
        _settings(**changes),
        batch_size=2,
        seed=seed,
    )


def _clips_of(batch):
    return (batch["video"][:, 0, 0, 0, 0] // 10).tolist()


def test_batch_shapes_and_types():
    batch = _input().batch(0)
    for name in ("video", "target"):
        assert batch[name].shape == (2, 4, 2, 2, 1)
        assert batch[name].dtype == np.uint8


def test_frames_are_consecutive_and_target_belongs_to_them():
    for step in range(6):
        batch = _input().batch(step)
        np.testing.assert_array_equal(np.diff(batch["video"][:, :, 0, 0, 0].astype(int)), 1)
        np.testing.assert_array_equal(batch["target"], batch["video"] + 1)


@pytest.mark.parametrize("subsample", [1, 2])
def test_every_other_pixel_of_frames_and_targets(subsample):
    pixels = np.arange(10 * 6 * 8, dtype=np.uint32).reshape(10, 6, 8).astype(np.uint8)
    clip = dataclasses.replace(
        _clip(0),
        frames=pixels,
        teacher_mask=255 - pixels[..., None],
        reference_masks=pixels[:2, ..., None] > 9,
    )
    data = DatasetInput(
        [clip], [clip], _settings(subsample=subsample, window_frames=10), batch_size=1, seed=0
    )
    for batch in (data.batch(0), next(iter(data.validation_batches()))):
        expected = pixels[:, ::subsample, ::subsample]
        np.testing.assert_array_equal(batch["video"][0, ..., 0], expected)
        np.testing.assert_array_equal(batch["target"][0, ..., 0], 255 - expected)


def test_a_pass_sees_no_clip_twice():
    data = _input()
    assert data.steps_per_pass == 3
    for first in (0, 3, 6):
        seen = [clip for step in range(first, first + 3) for clip in _clips_of(data.batch(step))]
        assert len(set(seen)) == 6


def test_passes_differ_in_order_and_windows():
    data = _input()
    passes = [[data.batch(step)["video"] for step in range(first, first + 3)] for first in (0, 3)]
    assert not np.array_equal(passes[0], passes[1])


def test_windows_start_everywhere():
    data = _input()
    starts = {int(v) % 10 for s in range(60) for v in data.batch(s)["video"][:, 0, 0, 0, 0]}
    assert starts == set(range(7))  # 10 frames, windows of 4


def test_windows_around_the_phases_have_them_in_the_middle():
    target = np.zeros((30, 4, 4, 1), np.uint8)
    target[:, 0] = 9
    target[12], target[20] = 200, 0  # Largest and smallest.
    pixels = Pixels(np.zeros((30, 4, 4), np.uint8), target, None)
    cut, rng = Window(5, 1, phases=1.0), np.random.default_rng(0)
    middles = {int(cut(pixels, rng)["target"][2].max()) for _ in range(20)}
    assert middles == {200, 0}
    # Near an end the window lies as it can.
    target[12], target[1] = 9, 201
    assert 201 in {int(cut(pixels, rng)["target"].max()) for _ in range(20)}


def test_same_seed_same_batches_other_seed_others():
    first, again, other = (_input(seed=seed).batch(5)["video"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("num_threads", [0, 3])
def test_reading_ahead_from_a_step_gives_the_same_as_random_access(num_threads):
    data = _input(num_threads=num_threads)
    for step, batch in zip(range(4, 9), data.batches(4)):
        np.testing.assert_array_equal(batch["video"], data.batch(step)["video"])


def test_short_clips_are_continued_with_their_last_frame():
    batch = _input(frames=3).batch(0)
    np.testing.assert_array_equal(batch["video"][0, :, 0, 0, 0] % 10, [0, 1, 2, 2])


def test_validation_is_fixed_and_padded_with_weight_zero():
    data = _input(validation=3)
    first, again = list(data.validation_batches()), list(data.validation_batches())
    assert [batch["weight"].tolist() for batch in first] == [[1, 1], [1, 0]]
    assert [_clips_of(batch) for batch in first] == [[0, 1], [2, 2]]
    for one, two in zip(first, again):
        np.testing.assert_array_equal(one["video"], two["video"])


def test_clips_are_read_once_while_they_fit():
    train, validation = Split(4), Split(1)
    # Each clip is 10 frames of 2x2 and as much mask: 80 bytes; three fit.
    settings = _settings(cache_gib=240 / 2**30)
    data = DatasetInput(train, validation, settings, batch_size=2, seed=0)
    for step in range(20):
        data.batch(step)
    assert train.reads == 3 + 10


def test_batch_larger_than_the_data():
    with pytest.raises(UserError, match=r"config.train.batch_size=2 is more than the 1 training"):
        _input(train=1)


def test_no_validation_clips():
    with pytest.raises(UserError, match=r"config\.dataset\.num_validation"):
        _input(validation=0)


def _noise(key, *, train):
    frames = jax.random.randint(key, (4, 2, 2), 0, 256).astype(jnp.uint8)
    return frames, (frames > 100)[..., None]


def _generator(target="reference", seed=0, teacher=None):
    return GeneratorInput(
        _noise,
        _settings(source="generator", target=target),
        batch_size=2,
        num_train=6,
        num_validation=3,
        seed=seed,
        teacher=teacher,
    )


def _made(data, batch):
    return jax.device_get(jax.jit(data.expand)(batch))


def test_generated_batches_are_a_function_of_seed_and_step():
    one, two = _generator(), _generator()
    batch = next(iter(itertools.islice(two.batches(3), 1)))
    np.testing.assert_array_equal(_made(one, one.batch(3))["video"], _made(two, batch)["video"])
    other = _generator(seed=1)
    assert not np.array_equal(_made(one, one.batch(3))["video"], _made(other, batch)["video"])


def test_generated_clips_are_all_different():
    data = _generator()
    assert data.steps_per_pass == 3
    batches = [data.batch(0), data.batch(1), *data.validation_batches()]
    clips = [c.tobytes() for b in batches for c in _made(data, b)["video"]]
    # Two steps of two, three to validate on and one that is padding.
    assert len(set(clips)) == len(clips) - 1 == 7


def test_generated_reference_is_the_mask():
    data = _generator()
    made = _made(data, data.batch(0))
    assert made["video"].shape == (2, 4, 2, 2, 1)
    np.testing.assert_array_equal(made["target"], np.where(made["video"] > 100, 255, 0))


def test_frames_that_nobody_sees_are_not_made():
    def two(key, *, train):
        frames = jax.random.randint(key, (2, 2, 2), 1, 256).astype(jnp.uint8)
        return frames, (frames[1:] > 100)[..., None]

    settings = _settings(source="generator", target="reference")
    sizes = {"batch_size": 2, "num_train": 6, "num_validation": 3, "seed": 0}
    data = GeneratorInput(two, settings, seen=(1, 3), outlined=(3,), **sizes)
    made = _made(data, data.batch(0))
    assert made["video"].shape == (2, 4, 2, 2, 1)
    assert made["video"][:, [1, 3]].all()
    assert not made["video"][:, [0, 2]].any()
    np.testing.assert_array_equal(made["target"][:, 3], 255 * (made["video"][:, 3] > 100))
    np.testing.assert_array_equal(made["frame_weights"], [[0, 0, 0, 1]] * 2)


def test_generated_target_of_a_teacher():
    data = _generator("teacher", teacher=lambda frames: frames[..., None] / 255.0)
    made = _made(data, data.batch(0))
    np.testing.assert_array_equal(made["target"], made["video"])


def _shared(source, shard):
    if source == "generator":
        return GeneratorInput(
            _noise,
            _settings(),
            batch_size=8,
            num_train=27,
            num_validation=9,
            seed=0,
            shard=shard,
        )
    return DatasetInput(Split(25), Split(9), _settings(), batch_size=8, seed=0, shard=shard)


@pytest.mark.parametrize("source", ["dataset", "generator"])
@pytest.mark.parametrize("micro_batches", [1, 2])
def test_two_processes_read_the_batch_of_one(source, micro_batches):
    whole = _shared(source, Shard())
    shards = [Shard(index, 2, micro_batches) for index in range(2)]
    inputs = [_shared(source, shard) for shard in shards]
    for step in (0, 2, 3, 7):  # Three steps are a pass.
        batch = whole.batch(step)
        for shard, data in zip(shards, inputs):
            own = data.batch(step)
            for name, rows in batch.items():
                np.testing.assert_array_equal(own[name], rows[shard.rows(8)])


@pytest.mark.parametrize("source", ["dataset", "generator"])
def test_two_processes_validate_on_every_window_once(source):
    batches = list(_shared(source, Shard()).validation_batches())
    shards = [list(_shared(source, Shard(i, 2)).validation_batches()) for i in range(2)]
    # Nine clips in batches of eight: the second process has none in the second batch.
    assert [len(shard) for shard in shards] == [2, 2]
    assert [shard[1]["weight"].tolist() for shard in shards] == [[1, 0, 0, 0], [0, 0, 0, 0]]
    for name in batches[0].keys() - {"weight"}:
        whole = np.concatenate([batch[name][batch["weight"] == 1] for batch in batches])
        both = [s[i][name][s[i]["weight"] == 1] for i in range(2) for s in shards]
        np.testing.assert_array_equal(np.concatenate(both), whole)


def test_the_generator_is_told_what_is_to_be_learnt_from():
    def told(key, *, train):
        frames = jnp.full((4, 2, 2), jnp.where(train, 100, 0)).astype(jnp.uint8)
        return frames, (frames > 50)[..., None]

    data = GeneratorInput(
        told,
        _settings(source="generator", target="reference"),
        batch_size=2,
        num_train=6,
        num_validation=2,
        seed=0,
    )
    (validation,) = data.validation_batches()
    assert np.unique(_made(data, data.batch(0))["video"]).tolist() == [100]
    assert np.unique(_made(data, validation)["video"]).tolist() == [0]
