import time

import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.page import kept as keeping
from echodfkd_jax.page.kept import MAX_CLIPS, KeptClips
from tests.page.stand_in_clip import StandInClip


def test_a_clip_is_found_under_its_name_only():
    kept = KeptClips()
    clip = StandInClip()
    name = kept.add(clip, "clip.avi")
    assert kept.get(name).clip is clip
    assert kept.get(name).source == "clip.avi"
    assert kept.get("another") is None
    assert len(name) >= 16


def test_the_clip_that_was_left_alone_the_longest_goes_first():
    kept = KeptClips()
    names = [kept.add(StandInClip(), "a") for _ in range(MAX_CLIPS)]
    assert kept.get(names[0])  # Asked for: now the second is the oldest.
    kept.add(StandInClip(), "a")
    assert kept.get(names[1]) is None
    assert all(kept.get(name) for name in names[:1] + names[2:])


def test_large_clips_make_room(monkeypatch):
    monkeypatch.setattr(keeping, "MAX_BYTES", 250)
    kept = KeptClips()
    names = [kept.add(StandInClip(num_bytes=100), "a") for _ in range(3)]
    assert [bool(kept.get(name)) for name in names] == [False, True, True]


def test_corrected_clips_stay_and_another_is_refused_in_words():
    kept = KeptClips()
    names = [kept.add(StandInClip(), "a") for _ in range(MAX_CLIPS)]
    for name in names:
        kept.get(name).history.keep({"outlines": {}})
    with pytest.raises(UserError, match=r"24 corrected clips are kept .* remove some"):
        kept.add(StandInClip(), "a")
    assert all(kept.get(name) for name in names)
    kept.remove(names[3])
    kept.add(StandInClip(), "a")


def test_a_removed_clip_is_gone():
    kept = KeptClips()
    name = kept.add(StandInClip(), "a")
    kept.remove(name)
    kept.remove(name)
    assert kept.get(name) is None


def test_after_its_time_a_clip_is_gone():
    kept = KeptClips(kept_s=0.05)
    kept.add(StandInClip(), "a")
    deadline = time.monotonic() + 5
    while kept._clips and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not kept._clips


def test_a_clip_that_is_asked_for_is_kept_longer():
    kept = KeptClips(kept_s=0.4)
    name = kept.add(StandInClip(), "a")
    for _ in range(8):
        time.sleep(0.1)
        assert kept.get(name)
