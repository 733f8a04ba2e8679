"""Several clips in one call: the same as one by one, continued, like lengths together."""

import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import echodfkd_jax
from echodfkd_jax.errors import UserError
from echodfkd_jax.networks import ConvLSTMUNet
from echodfkd_jax.networks.inference import padded_length, predict_clip, predict_together
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.prediction import outlining, several
from tests import factories
from tests.clips import echonet_folder

LENGTHS = (24, 40, 24, 33)


class Bright(nn.Module):
    """What is bright is inside; looks at no other frame."""

    def __call__(self, video, *, train=False):
        del train
        return (video - 128) / 20


@pytest.fixture(scope="module")
def student():
    return LoadedNetwork(Bright(), {}, "bright")


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    return [
        np.clip(echonet_folder.beat(count)[0] + rng.integers(0, 9), 0, 255).astype(np.uint8)
        for count in LENGTHS
    ]


@pytest.fixture
def outlined(monkeypatch):
    """How many clips were outlined in every call."""
    counts = []
    real = outlining.outline

    def counting(clips, *args, **options):
        counts.append(len(clips))
        return real(clips, *args, **options)

    monkeypatch.setattr(several.outlining, "outline", counting)
    return counts


def predict(clips, student, **options):
    return echodfkd_jax.predict(clips, student, fps=50.0, mirrored="no", **options)


def test_records_are_those_of_one_clip_at_a_time_in_their_order(clips, student):
    records = predict(clips, student)
    assert [record["name"] for record in records] == [f"clip_00000{n}" for n in range(4)]
    assert [record["num_frames"] for record in records] == list(LENGTHS)
    for clip, record in zip(clips, records):
        alone = predict(clip, student).report
        assert record["status"] == "ok" and record["num_beats"] == len(alone.beats) > 0
        assert record["ef_disks_percent"] == pytest.approx(alone.ef_disks_percent, abs=1e-4)
        assert record["lv_strain_percent"] == pytest.approx(
            alone.measures["lv_strain"].mean, abs=1e-4
        )


def test_records_are_a_table(clips, student, tmp_path):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(predict(clips, student, output=tmp_path))
    assert table["ef_disks_percent"].notna().all()
    read = pandas.read_csv(tmp_path / "predictions.csv")
    assert list(read.columns) == list(table.columns)
    numbers = table.select_dtypes("number").columns
    np.testing.assert_allclose(read[numbers].to_numpy(float), table[numbers].to_numpy(float))


def test_like_lengths_go_together_and_change_no_record(
    clips, student, tmp_path, monkeypatch, outlined
):
    one_by_one = predict(clips, student, output=tmp_path / "a")
    assert outlined == [1, 1, 1, 1]
    del outlined[:]
    monkeypatch.setattr(several, "_AT_ONCE_CPU", 2)
    together = predict(clips, student, output=tmp_path / "b")
    # Frames are filled up to 32 and 64.
    assert outlined == [2, 2]
    assert together == one_by_one
    for name in ("clip_000001", "clip_000003"):
        one, other = (np.load(tmp_path / d / f"{name}.seg.npz")["arr_0"] for d in "ab")
        np.testing.assert_array_equal(one, other)


def test_a_recurrent_student_gives_the_same_masks_among_others():
    model = ConvLSTMUNet(2, 1, 2)
    network = LoadedNetwork(model, factories.random_weights(model, jnp.zeros((1, 1, 8, 8, 1))))
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 256, (count, 8, 8), dtype=np.uint8) for count in (33, 40, 64)]
    assert {padded_length(network, len(clip)) for clip in clips} == {64}
    for clip, masks in zip(clips, predict_together(network, clips, 4)):
        alone = predict_clip(network, clip)
        assert masks.shape == alone.shape
        assert np.abs(masks.astype(int) - alone).max() <= 1  # Rounded sums of another order.


def test_nothing_fills_up_what_looks_at_later_frames():
    class Both(nn.Module):
        reach = 2

    assert padded_length(LoadedNetwork(Both(), {}), 33) == 33


def test_clips_are_asked_for_when_they_are_needed(clips, student):
    asked = []

    def endless():
        for number, clip in enumerate(clips * 5):
            asked.append(number)
            yield clip

    work = several.Work(student, several.PredictSettings(mirrored="no"), True, None, {})
    items = (several.Item(n, f"{n}", clip) for n, clip in enumerate(endless()))
    done = several.predict_all(items, work, total=None, quiet=True)
    next(done)
    assert len(asked) <= 3
    done.close()


def test_the_same_call_continues(clips, student, tmp_path, outlined):
    predict(clips, student, output=tmp_path / "whole")

    def cut_short():
        yield from clips[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(cut_short(), student, output=tmp_path / "cut")
    assert not (tmp_path / "cut" / "predictions.csv").exists()
    (tmp_path / "cut" / "clip_000001.json").write_text('{"half": ')  # As if it was being written.
    del outlined[:]
    records = predict(clips, student, output=tmp_path / "cut")
    assert outlined == [1, 1, 1]  # The first is done.
    tables = [(tmp_path / name / "predictions.csv").read_bytes() for name in ("whole", "cut")]
    assert tables[0] == tables[1]
    report = json.loads((tmp_path / "cut" / "run_report.json").read_text())
    assert (report["num_clips"], report["num_kept"]) == (4, 1)
    del outlined[:]
    assert predict(clips, student, output=tmp_path / "cut") == records
    assert outlined == []


@pytest.mark.slow
def test_what_is_not_the_same_is_made_again(clips, student, tmp_path, outlined):
    def again(made=clips, network=student, **options):
        del outlined[:]
        predict(made, network, output=tmp_path, **options)
        return len(outlined)

    assert again() == 4
    assert again() == 0
    assert again([*clips[:3], clips[3][:-1]]) == 1  # Another clip of the name.
    assert again(refined=False) == 4
    (tmp_path / "clip_000002.mp4").unlink()
    assert again([*clips[:3], clips[3][:-1]], refined=False) == 2  # A file and the fourth clip.
    other = LoadedNetwork(Bright(), {"params": {"unused": np.ones(1, np.float32)}}, "other")
    assert again(network=other, refined=False) == 4


def test_a_bad_clip_has_a_line_and_the_reason(clips, student, tmp_path):
    np.savez(tmp_path / "a.npz", frames=clips[0], fps=50.0)
    (tmp_path / "b.avi").write_text("no clip")
    grey = np.full((24, 112, 112), 9, np.uint8)
    paths = [tmp_path / "a.npz", str(tmp_path / "b.avi"), tmp_path / "gone.avi", grey]
    output = tmp_path / "out"
    records = echodfkd_jax.predict(paths, student, mirrored="no", output=output)
    assert [record["name"] for record in records] == ["a", "b", "gone", "clip_000003"]
    assert [record["status"] == "ok" for record in records] == [True, False, False, False]
    assert "no such file" in records[2]["status"]
    assert "every pixel of it is 9" in records[3]["status"]
    report = json.loads((output / "run_report.json").read_text())
    assert report["num_failed"] == 3
    assert [one["status"] for one in report["inputs"]] == [r["status"] for r in records]


def test_the_run_report_says_by_what_and_of_what(clips, student, tmp_path):
    np.savez(tmp_path / "a.npz", frames=clips[0], fps=50.0)
    predict([tmp_path / "a.npz", clips[1]], student, output=tmp_path / "out")
    report = json.loads((tmp_path / "out" / "run_report.json").read_text())
    assert report["student"]["fingerprint"] == student.fingerprint
    assert report["made_by"]["version"] == echodfkd_jax.__version__
    assert report["packages"]["jax"] == jax.__version__
    assert report["environment"]["device"]
    assert report["settings"] == {
        "crop": "square",
        "fps": 50.0,
        "mirrored": "no",
        "formats": [],
        "refined": True,
    }
    hashes = [one["sha256"] for one in report["inputs"]]
    assert hashes[0] == several.files.sha256_of(tmp_path / "a.npz")
    assert hashes[1] == several.sha256_of(clips[1]) != several.sha256_of(clips[1][:-1])
    assert "not a medical device" in report["notice"]


def test_formats_are_written_for_several(clips, student, tmp_path):
    predict(clips[:1], student, output=tmp_path, formats=["labelme"])
    assert (tmp_path / "clip_000000.labelme" / "000000.json").is_file()


def test_an_array_with_one_more_axis_is_several_clips(clips, student):
    records = predict(np.stack([clips[0], clips[2]]), student)
    assert [record["num_frames"] for record in records] == [24, 24]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.zeros((4, 112, 112), np.float32), r"float32\[4, 112, 112\]; expected grey frames"),
        (np.zeros((112, 112), np.uint8), r"uint8\[112, 112\]; expected grey frames"),
        ([np.zeros((2, 2, 112, 112), np.uint8)], r"expected grey frames, uint8 \(t, h, w\)"),
    ],
)
def test_arrays_that_are_no_clips_are_named(wrong, said, student):
    with pytest.raises(UserError, match=said):
        predict(wrong, student)


def test_output_of_one_clip_is_told(clips, student, tmp_path):
    with pytest.raises(UserError, match="for several clips"):
        predict(clips[0], student, output=tmp_path)


def test_a_setting_that_does_not_fit_is_told(clips, student):
    with pytest.raises(UserError, match=r"config\.predict\.crop='round'"):
        predict(clips, student, crop="round")
