import jax.numpy as jnp
import pytest

from echodfkd_jax import synthesis
from echodfkd_jax.datasets import sources
from tests.datasets import stand_ins


@pytest.mark.parametrize(
    ("split", "share"),
    [("train", synthesis.TRAINING_POOR_WINDOWS), ("validation", 0.0), ("test", 0.0)],
)
def test_poor_windows_are_among_the_training_clips_only(monkeypatch, split, share):
    def make_clip(key, *, num_frames, poor_windows):
        clip = stand_ins.make_clip(key, num_frames=num_frames)
        return clip._replace(ef_percent=jnp.float32(100 * poor_windows))

    monkeypatch.setattr(synthesis, "make_clip", make_clip)
    (clip,) = sources.GeneratedClips(split, seed=0, num_frames=4, start=0, stop=1)
    assert clip.ef_percent == pytest.approx(100 * share)
