"""A folder for a model hub, and that it runs with nothing but what its card names."""

import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile

import jax
import jax.export
import numpy as np
import pytest

from echodfkd_jax.datasets import prepared, recipe
from echodfkd_jax.errors import UserError
from echodfkd_jax.files import sha256_of
from echodfkd_jax.jobs import export
from echodfkd_jax.masks import name_in
from echodfkd_jax.networks import predict_clip
from echodfkd_jax.networks.shipped import load_student
from tests.clips import echonet_folder
from tests.jobs import made_up_run


def save_evaluation(folder, fingerprint, means):
    """A file of scores, as an evaluation leaves it.

    Args:
        folder: of the evaluation; its name is that of the clips.
        fingerprint: of the student.
        means: by structure.
    """
    names = [name_in(structure, "dice/student_vs_reference") for structure in means]
    metrics = {
        "name": folder.name,
        "models": {"student": fingerprint},
        "structures": list(means),
        "mean": dict(zip(names, means.values())),
        "ci95": {name: [mean - 0.05, mean + 0.05] for name, mean in zip(names, means.values())},
        "count": dict.fromkeys(names, 12),
        "tables": {
            "rows": [["mean", "dice/{}_vs_reference", "Dice, against the reference", 3]],
            "groups": [],
        },
    }
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(metrics))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    config = made_up_run.config(folder / "run")
    config.student.weights = "small"
    config.export.format = "hub"
    evaluations = folder / "run" / "evaluation"
    save_evaluation(evaluations / "test", load_student("small").fingerprint, {"lv": 0.9})
    save_evaluation(evaluations / "other", "student-other", {"lv": 0.8})
    export.run(config)
    return folder / "run" / "export" / "hub"


def blocks(card):
    """The Python blocks of a card."""
    return re.findall(r"^```python\n(.*?)^```$", card, re.DOTALL | re.MULTILINE)


def check_loader(folder, tmp_path, python):
    """Runs the card's example and the loader's program with another Python."""
    frames, _ = echonet_folder.beat(6)
    np.savez(tmp_path / "clip.npz", frames=frames)
    (example,) = blocks((folder / "README.md").read_text())
    example += (
        "assert masks.shape == (10, 112, 112, 1)\n"
        f"clip = np.load({str(tmp_path / 'clip.npz')!r})['frames']\n"
        f"np.save({str(tmp_path / 'found.npy')!r}, network(clip))\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    said = ""
    for arguments in (["-c", example], ["load.py", str(tmp_path / "clip.npz")]):
        done = subprocess.run(
            [str(python), *arguments],
            cwd=folder,
            env=environment | {"JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        said = done.stdout
    found = np.load(tmp_path / "found.npy")
    wanted = predict_clip(load_student("small"), frames)
    np.testing.assert_allclose(255 * found, wanted, atol=0.51)
    assert json.loads(said) == (found[..., 0] > 0.5).sum(axis=(1, 2)).tolist()
    assert wanted.max() > 127


@pytest.mark.slow
def test_the_loader_gives_the_masks(folder, tmp_path):
    check_loader(folder, tmp_path, sys.executable)


def test_weights_are_those_of_the_student(folder):
    config = json.loads((folder / "config.json").read_text())
    loaded = load_student(folder / "model.safetensors")
    assert loaded.fingerprint == config["fingerprint"] == load_student("small").fingerprint
    assert config["sha256"] == {
        name: sha256_of(folder / name) for name in ("model.safetensors", "model.stablehlo")
    }
    assert config["network"]["name"] == "convlstm" and config["num_weights"] == 39577
    assert config["output"]["structures"] == ["lv"]


def test_the_card_is_what_the_hub_reads(folder):
    cards = pytest.importorskip("huggingface_hub")
    card = cards.ModelCard.load(folder / "README.md")
    assert card.data.license == "apache-2.0"
    (score,) = card.data.eval_results
    assert (score.metric_type, score.metric_value) == ("dice/student_vs_reference", 0.9)
    assert "0.900 [0.850, 0.950]" in card.text and "generated clips only" in card.text
    assert "Not a medical device" in card.text


def exported_run(config):
    """The folder of a run of random weights."""
    made_up_run.save_run(config)
    config.export.format = "hub"
    export.run(config)
    return pathlib.Path(config.workdir) / "export" / "hub"


def test_every_structure_has_its_scores_and_its_masks(tmp_path):
    config = made_up_run.config(tmp_path / "run")
    config.structures = ("lv", "la")
    found = exported_run(config)
    config_json = json.loads((found / "config.json").read_text())
    assert config_json["output"]["structures"] == ["lv", "la"]
    evaluation = tmp_path / "run" / "evaluation" / "test"
    save_evaluation(evaluation, config_json["fingerprint"], {"lv": 0.9, "la": 0.7})
    export.run(config)
    card = (found / "README.md").read_text()
    assert "Left ventricle, Left atrium." in card and "generated clips only" in card
    assert "| Dice, against the reference, la | test | 0.700 [0.650, 0.750] | 12 |" in card
    program = jax.export.deserialize(bytearray((found / "model.stablehlo").read_bytes()))
    probabilities = program.call(np.zeros((1, 2, 112, 112), np.uint8))
    assert probabilities.shape == (1, 2, 112, 112, 2)


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("dataset", "name", "folder"),
        ("dataset", "generator", "tests.own_parts:Hearts"),
        ("teacher", "weights", "mine.safetensors"),
        ("train", "init_from", "mine.safetensors"),
    ],
)
def test_weights_of_unknown_clips_have_no_licence(tmp_path, section, field, value):
    config = made_up_run.config(tmp_path / "run")
    config[section][field] = value
    card = (exported_run(config) / "README.md").read_text()
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


# The checker uses what rdflib and pandas will drop.
@pytest.mark.filterwarnings("ignore")
def test_the_metadata_pass_the_checker(clips_folder, caplog):
    croissant = pytest.importorskip("mlcroissant")
    folder, _ = clips_folder
    found = croissant.Dataset(jsonld=folder / "croissant.json")
    issues = found.metadata.ctx.issues
    assert not issues.errors and not issues.warnings, issues.report()
    assert not caplog.records  # Such as a context that is not the standard's.
    rows = list(found.records("clips"))
    assert len(rows) == 7 and rows[0]["clips/num_frames"] == 6


def test_the_card_of_the_clips_is_what_the_hub_reads(clips_folder):
    cards = pytest.importorskip("huggingface_hub")
    card = cards.DatasetCard.load(clips_folder[0] / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.configs[0]["data_files"] == "clips.parquet"
    assert [entry["split"] for entry in card.data.configs[1]["data_files"]] == list(recipe.SPLITS)


def test_shards_of_an_earlier_export_are_gone(clips_folder):
    folder, config = clips_folder
    (folder / "data" / "test-00001.tar").write_text("older")
    export.run(config)
    assert sorted(path.name for path in (folder / "data").iterdir()) == [
        f"{split}-00000.tar" for split in ("test", "train", "validation")
    ]


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
    check_loader(folder, tmp_path, python)
