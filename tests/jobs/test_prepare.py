import json
import pathlib
import pickle
import shutil
import sys

import ml_collections
import numpy as np
import pytest

from echodfkd_jax.datasets import prepared as dataset
from echodfkd_jax.errors import UserError
from echodfkd_jax.jobs import prepare
from tests.clips import echonet_folder
from tests.datasets import stand_ins


def _config(tmp_path, teacher=None, **fields):
    config = {
        "dataset": {"data_dir": str(tmp_path / "data"), **fields},
        "teacher": teacher or {"name": "unet", "weights": ""},
    }
    return ml_collections.ConfigDict(config).lock()


def _generated(tmp_path, **fields):
    numbers = {"num_train": 3, "num_validation": 2, "num_test": 1, "num_frames": 4, "seed": 0}
    return _config(tmp_path, **{"name": "synthetic", **numbers, **fields})


@pytest.fixture(scope="module")
def echonet(tmp_path_factory):
    return echonet_folder.build(tmp_path_factory.mktemp("manual") / "EchoNet-Dynamic")


def _recorded(tmp_path, folder, **fields):
    teacher = {"name": "precomputed", "weights": ""}
    fields = {"name": "echonet_dynamic", "manual_dir": str(folder), "min_frames": 25, **fields}
    return _config(tmp_path, teacher, **fields)


def test_generated_clip_survives_the_round_trip(tmp_path, monkeypatch):
    stand_ins.use(monkeypatch, stand_ins.CountingTeacher())
    target = prepare.run(_generated(tmp_path))
    clip = dataset.open_split(target, "train")[2]
    assert clip.name == "train_000002"
    assert clip.frames.shape == (4, 112, 112)
    np.testing.assert_array_equal(
        clip.teacher_mask[..., 0], clip.frames
    )  # round(255 * frames / 255)
    np.testing.assert_array_equal(clip.reference_masks[..., 0], clip.frames > 200)
    assert clip.reference_frames.tolist() == [0, 1, 2, 3]
    assert (clip.fps, clip.ef_percent, clip.edv_ml, clip.esv_ml) == (50.0, 60.0, 100.0, 40.0)
    assert (clip.ed_frame, clip.es_frame) == (1, 3)


def test_splits_have_the_asked_numbers_and_other_clips(tmp_path, monkeypatch):
    stand_ins.use(monkeypatch, stand_ins.CountingTeacher())
    target = prepare.run(_generated(tmp_path))
    splits = [dataset.open_split(target, name) for name in ("train", "validation", "test")]
    assert [len(split) for split in splits] == [3, 2, 1]
    first = [split[0].frames for split in splits]
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[1], first[2])


def test_clip_depends_on_its_number_only(tmp_path, monkeypatch):
    stand_ins.use(monkeypatch, stand_ins.CountingTeacher())
    few = dataset.open_split(prepare.run(_generated(tmp_path)), "train")
    many = dataset.open_split(prepare.run(_generated(tmp_path, num_train=35)), "train")
    np.testing.assert_array_equal(few[2].frames, many[2].frames)
    assert many[34].name == "train_000034"
    assert not np.array_equal(many[32].frames, many[0].frames)


def test_another_seed_gives_other_clips(tmp_path, monkeypatch):
    stand_ins.use(monkeypatch, stand_ins.CountingTeacher())
    first = dataset.open_split(prepare.run(_generated(tmp_path)), "train")
    second = dataset.open_split(prepare.run(_generated(tmp_path, seed=1)), "train")
    assert not np.array_equal(first[0].frames, second[0].frames)


def test_source_survives_pickling_and_needs_no_tensorflow(tmp_path, monkeypatch):
    stand_ins.use(monkeypatch, stand_ins.CountingTeacher())
    source = dataset.open_split(prepare.run(_generated(tmp_path)), "train")
    expected = source[1].frames
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[1].frames, expected)
    assert "tensorflow" not in sys.modules


def test_index_beyond_the_split_is_an_index_error(tmp_path, monkeypatch):
    stand_ins.use(monkeypatch, stand_ins.CountingTeacher())
    source = dataset.open_split(prepare.run(_generated(tmp_path)), "train")
    with pytest.raises(IndexError):
        source[3]


def test_second_run_does_nothing(tmp_path, monkeypatch, capsys):
    stand_ins.use(monkeypatch, stand_ins.CountingTeacher())
    prepare.run(_generated(tmp_path))
    again = stand_ins.use(monkeypatch, stand_ins.CountingTeacher())
    target = prepare.run(_generated(tmp_path))
    assert again.num_clips == 0
    lines = capsys.readouterr().out.splitlines()
    report = target / "prepare_report.json"
    assert lines[-1] == f"prepare: already done: 3 train, 2 validation, 1 test clips; see {report}"


def test_metadata_tells_what_the_data_set_was_made_from(tmp_path, monkeypatch):
    stand_ins.use(monkeypatch, stand_ins.CountingTeacher())
    metadata = dataset.read_metadata(prepare.run(_generated(tmp_path)))
    assert metadata["teacher"] == "unet-aaaaaaaaaaaa"
    assert metadata["generator_version"] == "stand-in 1"
    assert metadata["recipe"]["num_frames"] == 4


def test_interrupted_labelling_goes_on_where_it_was(tmp_path, monkeypatch):
    stand_ins.use(monkeypatch, stand_ins.CountingTeacher(break_before=4))
    with pytest.raises(KeyboardInterrupt):
        prepare.run(_generated(tmp_path))
    target = dataset.directory(
        _generated(tmp_path).dataset.to_dict(), _generated(tmp_path).teacher.to_dict()
    )
    assert not target.exists()
    second = stand_ins.use(monkeypatch, stand_ins.CountingTeacher())
    assert prepare.run(_generated(tmp_path)) == target
    assert second.num_clips == 2  # of 6, 4 were labelled
    assert len(dataset.open_split(target, "train")) == 3


def test_labels_of_another_teacher_are_not_used(tmp_path, monkeypatch):
    stand_ins.use(monkeypatch, stand_ins.CountingTeacher(break_before=4))
    with pytest.raises(KeyboardInterrupt):
        prepare.run(_generated(tmp_path))
    other = stand_ins.CountingTeacher(fingerprint="unet-bbbbbbbbbbbb")
    stand_ins.use(monkeypatch, other)
    prepare.run(_generated(tmp_path))
    assert other.num_clips == 6


def test_what_a_killed_build_left_is_removed(tmp_path, monkeypatch):
    stand_ins.use(monkeypatch, stand_ins.CountingTeacher())
    config = _generated(tmp_path)
    target = dataset.directory(config.dataset.to_dict(), config.teacher.to_dict())
    left_over = target.parent / "incomplete.ABC123_1.0.0"
    left_over.mkdir(parents=True)
    prepare.run(config)
    assert [path.name for path in target.parent.iterdir()] == ["1.0.0"]
    labels = target.parents[1] / ".labels"
    assert list(labels.iterdir()) == []


def test_two_at_once_are_refused(tmp_path, monkeypatch):
    class Nested(stand_ins.CountingTeacher):
        def __call__(self, frames):
            prepare.run(_generated(tmp_path))

    stand_ins.use(monkeypatch, Nested())
    with pytest.raises(UserError, match="another process is preparing this data set"):
        prepare.run(_generated(tmp_path))


@pytest.mark.parametrize(
    ("teacher", "version", "message"),
    [
        (
            stand_ins.CountingTeacher("unet-bbbbbbbbbbbb"),
            "stand-in 1",
            "made with teacher unet-aaaaaaaaaaaa, asked for unet-bbbbbbbbbbbb; delete this folder",
        ),
        (
            stand_ins.CountingTeacher(),
            "stand-in 2",
            "made with generator version stand-in 1, asked for stand-in 2; delete this folder",
        ),
    ],
)
def test_data_set_made_from_something_else_is_refused(
    tmp_path, monkeypatch, teacher, version, message
):
    stand_ins.use(monkeypatch, stand_ins.CountingTeacher())
    prepare.run(_generated(tmp_path))
    stand_ins.use(monkeypatch, teacher, version)
    with pytest.raises(UserError, match=message):
        prepare.run(_generated(tmp_path))


def test_echonet_folder_with_every_defect(tmp_path, echonet):
    target = prepare.run(_recorded(tmp_path, echonet.parent))
    report = json.loads((target / "prepare_report.json").read_text())
    layout = report["layout"]
    sections = {**layout["left_out"], **layout["used"], **layout["tables"]}
    counts = {rule: section["count"] for rule, section in sections.items()}
    assert counts == {**echonet_folder.EXPECTED_COUNTS, "no_mask": 2}
    assert layout["num_used"] == 24
    assert report["num_clips"] == {"train": 12, "validation": 6, "test": 6}


def test_echonet_clip_survives_the_round_trip(tmp_path, echonet):
    target = prepare.run(_recorded(tmp_path, echonet))
    train = dataset.open_split(target, "train")
    clip = next(clip for clip in map(train.__getitem__, range(12)) if clip.name == "0XUNTRACED0")
    assert clip.reference_masks.shape == (0, 112, 112, 1)
    assert (clip.ed_frame, clip.es_frame) == (-1, -1)
    first = train[0]
    assert first.reference_frames.tolist() == [3, 12]
    expected = np.where(echonet_folder.beat(30)[1] > 0, 255, 0)
    np.testing.assert_array_equal(first.teacher_mask[..., 0], expected)


def test_network_teacher_labels_every_usable_clip(tmp_path, echonet, monkeypatch):
    teacher = stand_ins.use(monkeypatch, stand_ins.CountingTeacher())
    config = _config(tmp_path, name="echonet_dynamic", manual_dir=str(echonet), min_frames=25)
    target = prepare.run(config)
    assert teacher.num_clips == 26
    clip = dataset.open_split(target, "test")[0]
    np.testing.assert_array_equal(clip.teacher_mask[..., 0], clip.frames)


def test_data_set_made_from_other_clips_is_refused(tmp_path, echonet):
    copy = tmp_path / "copy"
    shutil.copytree(echonet, copy)
    prepare.run(_recorded(tmp_path, copy))
    next((copy / "Videos").iterdir()).unlink()
    with pytest.raises(UserError, match=r"made with clips [0-9a-f]{12}, asked for"):
        prepare.run(_recorded(tmp_path, copy))


def test_folder_without_tables_is_split_by_name(tmp_path, echonet):
    folder = tmp_path / "clips"
    shutil.copytree(echonet / "Videos", folder)
    shutil.copytree(echonet / "TeacherMasks", folder / "TeacherMasks")
    target = prepare.run(_recorded(tmp_path, folder, name="folder"))
    report = json.loads((target / "prepare_report.json").read_text())
    assert report["num_clips"] == {"train": 20, "validation": 2, "test": 2}


def test_folder_with_folders_named_like_splits(tmp_path, echonet):
    folder = tmp_path / "clips"
    for number, split in enumerate(["train", "train", "validation", "test"]):
        (folder / split).mkdir(parents=True, exist_ok=True)
        shutil.copy(echonet / "Videos" / f"0X{number:016X}.avi", folder / split)
    shutil.copytree(echonet / "TeacherMasks", folder / "TeacherMasks")
    target = prepare.run(_recorded(tmp_path, folder, name="folder"))
    source = dataset.open_split(target, "train")
    assert [source[index].name for index in range(2)] == [f"0X{n:016X}" for n in range(2)]


def test_split_without_clips_is_refused(tmp_path, echonet):
    folder = tmp_path / "clips"
    shutil.copytree(echonet, folder)
    table = folder / "FileList.csv"
    table.write_text(table.read_text(encoding="utf-8-sig").replace("VAL", "TEST"))
    with pytest.raises(UserError, match="no usable clip for the split validation"):
        prepare.run(_recorded(tmp_path, folder))
    assert not list(pathlib.Path(tmp_path / "data").rglob("incomplete*"))


def test_wrong_row_is_named(tmp_path, echonet):
    folder = tmp_path / "clips"
    shutil.copytree(echonet, folder)
    table = folder / "FileList.csv"
    lines = table.read_text(encoding="utf-8-sig").splitlines()
    lines[16] = lines[16].replace("TEST", "TRIAN")
    table.write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"FileList\.csv, line 17: Split is 'TRIAN'; expected"):
        prepare.run(_recorded(tmp_path, folder))


@pytest.mark.parametrize(
    ("manual_dir", "message"),
    [
        ("", "config.dataset.manual_dir is empty; echonet_dynamic needs the folder"),
        ("/nowhere", "config.dataset.manual_dir=/nowhere: no such folder"),
    ],
)
def test_clips_folder_is_asked_for(tmp_path, manual_dir, message):
    with pytest.raises(UserError, match=message):
        prepare.run(_recorded(tmp_path, manual_dir))
