import numpy as np
import pytest

from echodfkd_jax.evaluation.window import Window, border_contrast
from tests.evaluation import made_up_clips


def heart(left=200, right=200, side=112):
    """A dark ellipse with a bright wall on each side."""
    y, x = np.mgrid[:side, :side] / (side / 112)
    radius = np.hypot((x - 56) / 18, (y - 56) / 32)
    wall = (radius > 1) & (radius < 1.5)
    frame = np.where(wall, np.where(x < 56, left, right), 20)
    return frame.astype(np.uint8), radius < 1


@pytest.mark.parametrize("side", [112, 224])
def test_bright_walls_are_told_from_a_faint_one(side):
    clear = border_contrast(*heart(side=side))
    faint = border_contrast(*heart(right=40, side=side))
    assert clear == pytest.approx([90, 90], abs=8)
    assert faint[0] == pytest.approx(clear[0], abs=8) and faint[1] < 15


def test_no_ventricle_has_no_border():
    assert np.isnan(border_contrast(heart()[0], np.zeros((112, 112), bool))).all()


def test_a_clip_is_as_clear_as_its_fainter_wall():
    frame, mask = heart(right=60)
    clip = made_up_clips.clip(2, reference={0: 1, 1: 1}, ed=0, es=1)
    clip.__dict__.update(
        frames=np.stack([frame, frame]), reference_masks=np.stack([mask, mask])[..., None]
    )
    soft = 255 * np.stack([mask, mask]).astype(np.uint8)
    found = Window().clip(made_up_clips.scored(clip, {"teacher": soft}))
    assert found["border_contrast/reference"] == found["border_contrast/teacher"]
    assert found["border_contrast/reference"] == pytest.approx(border_contrast(frame, mask)[1])


def test_where_nobody_knows_the_ventricle_nothing_is_said():
    clip = made_up_clips.clip(2)
    assert Window().clip(made_up_clips.scored(clip, {"student": made_up_clips.soft(1, 2)})) == {}
