import json

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from echodfkd_jax.runs.writers import Writer, read_lines


def _events(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_a_line_has_step_epoch_time_and_tags(tmp_path):
    writer = Writer(tmp_path / "tb", tmp_path / "metrics.jsonl")
    writer.write_scalars(3, {"train/loss": 0.5}, epoch=1)
    writer.close()
    (line,) = read_lines(tmp_path / "metrics.jsonl")
    assert line.pop("time_s") >= 0
    assert line == {"step": 3, "epoch": 1, "train/loss": 0.5}
    (event,) = _events(tmp_path / "tb").Scalars("train/loss")
    assert (event.step, event.value) == (3, 0.5)


def test_resuming_drops_what_came_after(tmp_path):
    for resume_step, steps in ((0, (1, 2, 3)), (2, (3, 4))):
        writer = Writer(tmp_path / "tb", tmp_path / "m.jsonl", resume_step=resume_step)
        for step in steps:
            writer.write_scalars(step, {"loss": float(10 * len(steps) + step)}, epoch=1)
        writer.close()
    lines = read_lines(tmp_path / "m.jsonl")
    assert [(line["step"], line["loss"]) for line in lines] == [(1, 31), (2, 32), (3, 23), (4, 24)]
    assert sorted(line["time_s"] for line in lines) == [line["time_s"] for line in lines]
    events = _events(tmp_path / "tb").Scalars("loss")
    assert [(e.step, e.value) for e in events] == [(1, 31), (2, 32), (3, 23), (4, 24)]


def test_starting_anew_empties_the_file(tmp_path):
    for _ in range(2):
        writer = Writer(tmp_path / "tb", tmp_path / "m.jsonl")
        writer.write_scalars(1, {"loss": 1.0})
        writer.close()
    assert len(read_lines(tmp_path / "m.jsonl")) == 1


def test_two_writers_of_one_folder_do_not_overwrite_each_other(tmp_path):
    writers = [Writer(tmp_path) for _ in range(2)]
    for number, writer in enumerate(writers):
        writer.write_scalars(1, {f"tag_{number}": 1.0})
        writer.close()
    assert len(list(tmp_path.iterdir())) == 2


def test_images(tmp_path):
    writer = Writer(tmp_path)
    writer.write_images(5, {"frames": np.zeros((4, 6, 3), np.uint8)})
    writer.close()
    (image,) = _events(tmp_path).Images("frames")
    assert (image.step, image.height, image.width) == (5, 4, 6)


def test_texts(tmp_path):
    writer = Writer(tmp_path)
    writer.write_texts(2, {"numbers": "| a |"})
    writer.close()
    (event,) = _events(tmp_path).Tensors("numbers/text_summary")
    assert (event.step, event.tensor_proto.string_val) == (2, [b"| a |"])


def test_settings_are_rows_of_the_table_of_runs(tmp_path):
    writer = Writer(tmp_path)
    settings = {"model.blocks": 3, "train.loss": "bce", "on": True, "structures": ["lv", "la"]}
    writer.write_settings({**settings, "nothing": None}, ["validation/dice"])
    writer.close()
    tags = _events(tmp_path).PluginTagToContent("hparams")
    start = HParamsPluginData.FromString(tags["_hparams_/session_start_info"])
    told = start.session_start_info.hparams
    assert told["model.blocks"].number_value == 3 and told["train.loss"].string_value == "bce"
    assert told["on"].bool_value and told["structures"].string_value == '["lv", "la"]'
    assert told["nothing"].string_value == "null"
    experiment = HParamsPluginData.FromString(tags["_hparams_/experiment"]).experiment
    assert [info.name.tag for info in experiment.metric_infos] == ["validation/dice"]
    assert "_hparams_/session_end_info" in tags


def test_a_line_cut_short_is_left_out(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps({"step": 1}) + '\n{"step": 2, "tr')
    assert read_lines(path) == [{"step": 1}]
    assert read_lines(tmp_path / "missing.jsonl") == []
