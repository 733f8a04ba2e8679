import importlib.util
import json
import pathlib

import numpy as np
import pytest

from echodfkd_jax.echoclip import Judge, load_judge, open_clip_judge
from echodfkd_jax.echoclip.architecture import Architecture
from echodfkd_jax.echoclip.image_tower import ImageTower
from echodfkd_jax.echoclip.text_tower import TextTower
from echodfkd_jax.errors import UserError
from tests import factories

TESTDATA = pathlib.Path(__file__).parents[1] / "testdata"
SMALL = Architecture(
    image_size_px=32, depths=(1,), widths=(8,), embedding=4, text_width=64, text_heads=1,
    text_layers=1,
)  # fmt: skip


def small_judge(batch_size):
    image, text = np.zeros((1, 32, 32, 3), np.float32), np.zeros((1, 77), np.int32)
    params = {
        "image": factories.random_weights(ImageTower(SMALL), image)["params"],
        "text": factories.random_weights(TextTower(SMALL), text)["params"],
    }
    return open_clip_judge.OpenClipJudge("small", "small-0", params, SMALL, "float32", batch_size)


@pytest.fixture(scope="module")
def made_up_state_dict():
    path = TESTDATA / "weights_recipe.py"
    spec = importlib.util.spec_from_file_location("weights_recipe", path)
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    shapes = json.loads((TESTDATA / "echoclip_state_dict.json").read_text())
    assert len(shapes) == 493
    return {key: recipe.echoclip_value(key, tuple(shape)) for key, shape in shapes.items()}


# About 45 s and 2.5 GB on two cores.
@pytest.mark.slow
def test_embeddings_equal_open_clips(made_up_state_dict):
    golden = np.load(TESTDATA / "echoclip.npz")
    judge = open_clip_judge.from_state_dict(
        made_up_state_dict, name="echoclip", source="made up", batch_size=2
    )
    images = judge.embed_images(golden["frames"])
    texts = judge.embed_texts([str(prompt) for prompt in golden["prompts"]])
    for ours, theirs in ((images, golden["image_embeddings"]), (texts, golden["text_embeddings"])):
        # Relative to the whole embedding, whose length is 1: single entries may be near 0. Found
        # are 1e-6; the tanh form of GELU would give some 1e-5.
        assert np.linalg.norm(ours - theirs, axis=1).max() < 1e-5

    # bfloat16 has 8 significant bits; 36 blocks later some per cent are left of them.
    rounded = open_clip_judge.from_state_dict(
        made_up_state_dict, name="echoclip", source="made up", batch_size=2, dtype="bfloat16"
    )
    cosines = (rounded.embed_images(golden["frames"]) * images).sum(axis=1)
    assert 0.99 < cosines.min() < 1 - 1e-6


def test_embeddings_have_length_one_and_no_input_gives_no_rows():
    judge = small_judge(2)
    frames = np.random.default_rng(0).integers(0, 256, (3, 40, 48), dtype=np.uint8)
    lengths = np.linalg.norm(judge.embed_images(frames), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)
    assert judge.embed_images(frames[:0]).shape == (0, 4)
    assert judge.embed_texts([]).shape == (0, 4)


def test_the_batch_size_makes_no_difference():
    frames = np.random.default_rng(0).integers(0, 256, (5, 40, 48), dtype=np.uint8)
    two, eight = (small_judge(size).embed_images(frames) for size in (2, 8))
    np.testing.assert_allclose(two, eight, atol=1e-6)
    assert np.ptp(two, axis=0).max() > 1e-3


def test_an_unknown_type_is_refused():
    with pytest.raises(UserError, match=r"dtype 'float16' .* float32, bfloat16"):
        open_clip_judge.from_state_dict({}, name="x", source="x.bin", dtype="float16")


def test_missing_weights_are_refused_by_path(tmp_path):
    with pytest.raises(UserError, match=r"absent\.safetensors"):
        load_judge("echoclip", weights=str(tmp_path / "absent.safetensors"))


def test_an_unknown_judge_is_refused():
    with pytest.raises(
        UserError, match=r"judge\.name='echoclap' is unknown; use one of echoclip, open_clip"
    ):
        load_judge("echoclap")


def test_a_class_of_ones_own_is_a_judge(monkeypatch, tmp_path):
    (tmp_path / "own_judge.py").write_text(
        "class Own:\n"
        "    name, fingerprint = 'own', 'own-1'\n"
        "    def __init__(self, brightness): self.brightness = brightness\n"
        "    def embed_images(self, frames): ...\n"
        "    def embed_texts(self, texts): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    judge = load_judge("own_judge:Own", brightness=3)
    assert isinstance(judge, Judge)
    assert judge.brightness == 3


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("collections:OrderedDict", "is no judge"), ("collections:Absent", "cannot be imported")],
)
def test_a_class_that_is_no_judge_is_refused(name, complaint):
    with pytest.raises(UserError, match=complaint):
        load_judge(name)
