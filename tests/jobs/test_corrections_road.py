"""From corrections to a trained step: what is downloaded is a folder that is learnt from."""

import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.jobs import prepare
from echodfkd_jax.prediction import outlines
from echodfkd_jax.prediction.workplace import write_corrections
from echodfkd_jax.settings import InputSettings
from echodfkd_jax.training.input import DatasetInput
from tests.jobs import learning
from tests.prediction.made_prediction import work_clip

FRAME = 12
# A wider ventricle than the ellipse that is there.
SQUARE = [[30.0, 25.0], [80.0, 25.0], [80.0, 85.0], [30.0, 85.0]]
CORRECTED = {"outlines": {str(FRAME): SQUARE}, "beats": None}


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corrections")
    write_corrections(folder, [(name, work_clip(name), CORRECTED) for name in "abc"])
    return folder


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return tmp_path_factory.mktemp("learning")


@pytest.mark.slow
def test_the_corrected_frame_is_what_a_step_learns(downloaded, workdir):
    made = learning.config(downloaded, workdir)
    clips = learning.prepared_clips(made)
    assert [len(split) for split in clips.values()] == [1, 1, 1]
    (clip,) = clips["train"]
    drawn = outlines.fill(np.array(SQUARE), 112)
    (mask,) = clip.reference_masks[..., 0]
    assert clip.reference_frames.tolist() == [FRAME]
    assert 2 * (mask & drawn).sum() / (mask.sum() + drawn.sum()) > 0.97
    # The masks of all frames are there too, the corrected one in its place.
    assert (clip.teacher_mask[FRAME, ..., 0] == 255 * drawn).all()

    settings = InputSettings.of(made.input)
    data = DatasetInput(clips["train"], clips["validation"], settings, batch_size=1, seed=0)
    for step in range(5):
        batch = data.batch(step)
        weights, target = batch["frame_weights"][0], batch["target"][0, ..., 0]
        assert weights.sum() == 1
        assert (target[weights > 0] == 255 * mask).all()
    told = learning.learn_one_step(made)
    assert np.isfinite(told["train/loss"]) and np.isfinite(told["validation/loss"])


@pytest.mark.slow
def test_all_masks_can_be_learnt_with_the_corrected_ones_in_their_place(downloaded, workdir):
    made = learning.config(downloaded, workdir, target="teacher")
    made.workdir = str(workdir / "all")
    told = learning.learn_one_step(made) if prepare.run(made) else {}
    assert np.isfinite(told["train/loss"])


def test_two_clips_are_too_few_and_that_is_said(tmp_path):
    (tmp_path / "made").mkdir()
    write_corrections(tmp_path / "made", [(n, work_clip(n), CORRECTED) for n in "ab"])
    made = learning.config(tmp_path / "made", tmp_path)
    with pytest.raises(
        UserError, match="no usable clip for the split train, and every split needs"
    ):
        prepare.run(made)
