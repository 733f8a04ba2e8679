import jax
import numpy as np
import pytest

from echodfkd_jax.synthesis.phantom.clip import sample_scene
from experiments import ablation

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def families():
    return ablation.families()


@pytest.fixture(scope="module")
def scene():
    return jax.jit(lambda key: sample_scene(key, num_frames=ablation.WINDOW))(jax.random.key(4))


def leaves(scene):
    fields = {name: value for name, value in scene._asdict().items() if not name.endswith("_key")}
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(fields)}


def test_every_family_takes_something_away_and_leaves_the_shapes(families, scene):
    before = leaves(scene)
    for name, change in families.items():
        after = leaves(change(scene))
        assert {k: v.shape for k, v in after.items()} == {k: v.shape for k, v in before.items()}
        changed = [k for k in before if not np.array_equal(before[k], after[k])]
        assert bool(changed) == (name != "nothing"), name


@pytest.mark.parametrize(
    ("name", "touched"),
    [
        ("haze", {"['scanner'].clutter", "['scanner'].noise"}),
        ("gain", {"['scanner'].gain_db", "['scanner'].tgc_db"}),
        ("compaction", {"['movement'].compaction"}),
        ("overlays", {"['markings']"}),
    ],
)
def test_a_family_touches_only_what_it_is_named_for(families, scene, name, touched):
    before, after = leaves(scene), leaves(families[name](scene))
    assert {k for k in before if not np.array_equal(before[k], after[k])} == touched


def test_scores_of_a_network_that_is_always_right(monkeypatch):
    masks = np.zeros((6, 8, 8), bool)
    masks[:, 2:6, 2:6] = True
    masks[3:, 5] = False
    soft = 255 * masks[..., None].astype(np.uint8)
    monkeypatch.setattr(ablation, "predict_clip", lambda network, frames: soft)
    found = ablation.score(ablation.UNet(), {}, [(np.zeros((6, 8, 8), np.uint8), masks)])
    assert found == {
        "dice": 1.0,
        "area_correlation": pytest.approx(1.0),
        "area_change": 0.25,
        "reference_area_change": 0.25,
        "worst_dice": 1.0,
        "num_clips": 1,
    }
