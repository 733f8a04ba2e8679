import pathlib

import pytest

from echodfkd_jax.datasets import prepared as dataset
from echodfkd_jax.datasets import recipe
from echodfkd_jax.errors import UserError

UNET = {"name": "unet", "weights": ""}


def _name(fields, teacher=UNET):
    return dataset.directory({"data_dir": "/d", **fields}, teacher).parts[-2]


def test_directory_of_a_registered_recipe():
    target = dataset.directory({"name": "synthetic", "data_dir": "/d"}, UNET)
    assert target == pathlib.Path("/d/echo_clips/synthetic/1.0.0")


def test_data_dir_defaults_to_that_of_tfds(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "/elsewhere")
    assert dataset.directory({"name": "synthetic"}, UNET).parts[1] == "elsewhere"
    monkeypatch.delenv("TFDS_DATA_DIR")
    root = pathlib.Path.home() / "tensorflow_datasets"
    assert dataset.directory({"name": "synthetic"}, UNET).is_relative_to(root)


def test_parameters_that_differ_give_a_hash():
    assert _name({"name": "synthetic", "seed": 1}) == "synthetic_abb85d40"
    assert _name({"name": "synthetic", "seed": 2}) != "synthetic_abb85d40"


def test_parameters_of_another_registered_recipe_give_its_name():
    smoke = {"num_train": 8, "num_validation": 4, "num_test": 4, "num_frames": 32, "seed": 0}
    assert _name({"name": "synthetic", **smoke}) == "synthetic_smoke"


def test_parameters_that_do_not_matter_do_not_change_the_name():
    assert _name({"name": "folder", "num_train": 5}) == "folder"


def test_another_teacher_gives_another_name():
    name = _name({"name": "synthetic"}, {"name": "unet", "weights": "/x/mine.safetensors"})
    assert name.startswith("synthetic_")
    # A file that was moved is the same teacher.
    moved = _name({"name": "synthetic"}, {"name": "unet", "weights": "/y/mine.safetensors"})
    assert moved == name


def test_published_teacher_is_the_default_of_echonet():
    weights = "/anywhere/deeplabv3_resnet50_random.pt"
    name = _name({"name": "echonet_dynamic"}, {"name": "deeplabv3", "weights": weights})
    assert name == "echonet_dynamic"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "sintetic"}, "config.dataset.name='sintetic' is unknown; use one of synthetic,"),
        ({"name": "synthetic", "num_trian": 3}, "config.dataset.num_trian is unknown"),
        ({"name": "synthetic", "num_test": 0}, "config.dataset.num_test=0: expected an integer"),
        ({"name": "synthetic", "num_test": 2.5}, "config.dataset.num_test=2.5: expected an intege"),
        ({"name": "synthetic", "seed": -1}, "config.dataset.seed=-1: expected an integer from 0"),
    ],
)
def test_wrong_field_is_named(fields, message):
    with pytest.raises(UserError, match=message):
        dataset.directory(fields, UNET)


def test_missing_data_set_names_the_way_out(tmp_path):
    with pytest.raises(UserError, match=r"no data set; make it with --stage=prepare"):
        dataset.open_split(tmp_path, "train")


def test_unknown_split_is_refused(tmp_path):
    with pytest.raises(UserError, match="split 'val' is unknown; use one of train, validation"):
        dataset.open_split(tmp_path, "val")


def test_registered_recipes():
    assert list(recipe.REGISTERED) == [
        "synthetic",
        "synthetic_smoke",
        "synthetic_paper",
        "echonet_dynamic",
        "echonet_synthetic",
        "camus",
        "folder",
    ]
