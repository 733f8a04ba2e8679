"""A folder for a model hub, and that it runs with nothing but what its card names."""

import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from echodfkd_jax.datasets import prepared, recipe
from echodfkd_jax.errors import UserError
from echodfkd_jax.files import sha256_of
from echodfkd_jax.jobs import export
from echodfkd_jax.networks import predict_clip
from echodfkd_jax.networks.shipped import load_student
from tests.clips import echonet_folder
from tests.jobs import made_up_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    config = made_up_run.config(folder / "run")
    config.student.weights = "small"
    config.export.format = "hub"
    metrics = {
        "name": "test",
        "models": {"student": load_student("small").fingerprint},
        "structures": ["lv"],
        "mean": {"dice/student_vs_reference": 0.9},
        "ci95": {"dice/student_vs_reference": [0.85, 0.95]},
        "count": {"dice/student_vs_reference": 12},
        "tables": {
            "rows": [["mean", "dice/{}_vs_reference", "Dice, against the reference", 3]],
            "groups": [],
        },
    }
    for name, models in (("test", metrics["models"]), ("other", {"student": "student-other"})):
        path = folder / "run" / "evaluation" / name / "metrics.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({**metrics, "models": models}))
    export.run(config)
    return folder / "run" / "export" / "hub"


def program(folder, python, clip):
    """What the loader prints about a clip."""
    done = subprocess.run(
        [str(python), "load.py", str(clip)],
        cwd=folder,
        env={key: v for key, v in os.environ.items() if key != "PYTHONPATH"}
        | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def areas(folder, tmp_path, python):
    frames, _ = echonet_folder.beat(6)
    np.savez(tmp_path / "clip.npz", frames=frames)
    found = program(folder, python, tmp_path / "clip.npz")
    wanted = (predict_clip(load_student("small"), frames)[..., 0] > 127).sum(axis=(1, 2))
    assert wanted.min() > 0
    return found, wanted


def test_the_loader_gives_the_masks(folder, tmp_path):
    found, wanted = areas(folder, tmp_path, sys.executable)
    np.testing.assert_allclose(found, wanted, atol=2)  # A pixel at one half may fall either way.


def test_weights_are_those_of_the_student(folder):
    config = json.loads((folder / "config.json").read_text())
    loaded = load_student(folder / "model.safetensors")
    assert loaded.fingerprint == config["fingerprint"] == load_student("small").fingerprint
    assert config["sha256"] == {
        name: sha256_of(folder / name) for name in ("model.safetensors", "model.stablehlo")
    }
    assert config["network"]["name"] == "convlstm"
    assert config["output"]["structures"] == ["lv"]


def test_the_card_is_what_the_hub_reads(folder):
    cards = pytest.importorskip("huggingface_hub").repocard
    card = cards.ModelCard.load(folder / "README.md")
    assert card.data.license == "apache-2.0"
    (score,) = card.data.eval_results
    assert (score.metric_type, score.metric_value) == ("dice/student_vs_reference", 0.9)
    assert "0.900 [0.850, 0.950]" in card.text and "generated clips only" in card.text
    assert "Not a medical device" in card.text


def test_weights_of_unknown_clips_have_no_licence(tmp_path):
    config = made_up_run.config(tmp_path / "run")
    config.dataset.name = "folder"
    made_up_run.save_run(config)
    config.export.format = "hub"
    export.run(config)
    card = (tmp_path / "run" / "export" / "hub" / "README.md").read_text()
    assert "license: other" in card and "were not evaluated" in card
    assert "model-index" not in card


@pytest.fixture(scope="module")
def clips_folder(data_dir, tmp_path_factory):
    pytest.importorskip("pyarrow")
    config = made_up_run.config(tmp_path_factory.mktemp("clips") / "run")
    config.dataset.data_dir = data_dir
    config.export.format = "hub_dataset"
    export.run(config)
    return pathlib.Path(config.workdir) / "export" / "hub_dataset", config


def test_the_table_has_every_clip_and_its_shard(clips_folder):
    parquet = pytest.importorskip("pyarrow.parquet")
    folder, _ = clips_folder
    rows = parquet.read_table(folder / "clips.parquet").to_pylist()
    assert [row["split"] for row in rows] == ["train", "validation", *["test"] * 5]
    assert {row["num_frames"] for row in rows} == {6}
    assert all((folder / row["shard"]).is_file() for row in rows)
    assert rows[0]["ef_percent"] == 60 and rows[0]["es_frame"] == 5


def test_shards_hold_the_clips(clips_folder):
    folder, config = clips_folder
    place = prepared.directory(recipe.fields_of(config), config.teacher.to_dict())
    clips = prepared.open_split(place, "test")
    with tarfile.open(folder / "data" / "test-00000.tar") as archive:
        names = archive.getnames()
        assert names[:2] == ["test_000000.npz", "test_000000.json"] and len(names) == 10
        arrays = np.load(io.BytesIO(archive.extractfile("test_000003.npz").read()))
        line = json.loads(archive.extractfile("test_000003.json").read())
    np.testing.assert_array_equal(arrays["frames"], clips[3].frames)
    np.testing.assert_array_equal(arrays["teacher_mask"], clips[3].teacher_mask)
    np.testing.assert_array_equal(arrays["reference_masks"], clips[3].reference_masks)
    assert line["clip_id"] == clips[3].name


def test_the_metadata_pass_the_checker(clips_folder):
    croissant = pytest.importorskip("mlcroissant")
    folder, _ = clips_folder
    found = croissant.Dataset(jsonld=folder / "croissant.json")
    assert not found.metadata.ctx.issues.errors
    rows = list(found.records("clips"))
    assert len(rows) == 7 and rows[0]["clips/num_frames"] == 6


def test_the_card_of_the_clips_is_what_the_hub_reads(clips_folder):
    cards = pytest.importorskip("huggingface_hub").repocard
    card = cards.DatasetCard.load(clips_folder[0] / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.configs[0]["data_files"] == "clips.parquet"


def test_clips_that_may_not_be_handed_on_are_refused(tmp_path):
    pytest.importorskip("pyarrow")
    config = made_up_run.config(tmp_path / "run")
    config.dataset.name = "echonet_dynamic"
    config.export.format = "hub_dataset"
    with pytest.raises(UserError, match="nothing derived from its clips may be handed on"):
        export.run(config)


@pytest.mark.slow
def test_it_runs_with_what_the_card_names_and_nothing_else(folder, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "-r", folder / "requirements.txt"]
    done = subprocess.run([*map(str, install)], capture_output=True, text=True)
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    found, wanted = areas(folder, tmp_path, python)
    np.testing.assert_allclose(found, wanted, atol=2)
