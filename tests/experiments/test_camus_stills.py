import json
import sys

import numpy as np
import pytest

from echodfkd_jax.clips import camus_patient
from echodfkd_jax.errors import UserError
from echodfkd_jax.networks.inference import predict_clip
from echodfkd_jax.networks.refinement import keep_largest
from echodfkd_jax.networks.registry import build_model
from echodfkd_jax.teachers import student_teacher
from experiments import camus_stills
from tests import factories
from tests.clips import camus_folder


@pytest.fixture
def arrays(tmp_path):
    """Three made-up patients at ED and ES, in the layout of the file."""
    clips = []
    for number in range(3):
        camus_folder.write_patient(tmp_path, f"patient000{number}")
        patient = camus_patient.Patient(
            f"patient000{number}", tmp_path / f"patient000{number}", "4CH", "test"
        )
        clips.append(camus_patient.read(patient))
    masks = np.concatenate([clip.reference_masks[[0, -1]] for clip in clips])
    return {
        "frames": np.concatenate([clip.frames[[0, -1]] for clip in clips]),
        "masks": masks[..., 0],
        "myocardium": masks[..., 1],
        "atrium": masks[..., 2],
        "phase": np.array(["ED", "ES"] * 3),
        "patient": np.repeat([clip.name for clip in clips], 2),
    }


def stills(tmp_path, arrays):
    np.savez_compressed(tmp_path / "stills.npz", **arrays)
    return camus_stills.read_stills(tmp_path / "stills.npz")


class DarkIsBlood:
    """Outlines by grey values, in another order than the file's; knows no myocardium."""

    structures = ("la", "lv")

    def __call__(self, frames):
        assert len(frames) == camus_stills.NUM_LOOKS
        low = np.arange(112)[:, None] > 70
        blood = frames < 60
        return np.stack([blood & low, blood & ~low], axis=-1).astype(np.float32)


def test_dice_and_area_per_structure_and_phase(tmp_path, arrays):
    found = stills(tmp_path, arrays)
    perfect = camus_stills.score(found, found.masks)
    assert set(perfect) == {
        f"{name}/{phase}" for name in ("lv", "lv_myocardium", "la") for phase in ("ED", "ES")
    }
    assert perfect["la/ES"]["dice"] == {"mean": 1.0, "ci95": (1.0, 1.0)}
    assert perfect["lv/ED"]["count"] == 3
    # Half of every ventricle at ES: Dice 2/3, half the area; ED as it was.
    halved = dict(found.masks)
    rows = np.arange(112)[:, None] % 2 == 0
    halved["lv"] = halved["lv"] & (rows | (found.phase == "ED")[:, None, None])
    scores = camus_stills.score(found, halved)
    assert scores["lv/ES"]["dice"]["mean"] == pytest.approx(2 / 3, abs=0.02)
    assert scores["lv/ES"]["area"]["mean"] == pytest.approx(0.5, abs=0.02)
    assert scores["lv/ED"]["dice"]["mean"] == 1.0


def test_a_network_is_scored_on_what_it_outlines(tmp_path, arrays, monkeypatch, capsys):
    stills(tmp_path, arrays)
    monkeypatch.setattr(camus_stills, "load", lambda weights: DarkIsBlood())
    paths = [str(tmp_path / "stills.npz"), "mine", f"--json={tmp_path / 'scores.json'}"]
    monkeypatch.setattr(sys, "argv", ["camus_stills", *paths])
    camus_stills.main()
    scores = json.loads((tmp_path / "scores.json").read_text())["mine"]
    assert set(scores) == {"lv/ED", "lv/ES", "la/ED", "la/ES"}
    assert all(numbers["dice"]["mean"] > 0.9 for numbers in scores.values())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(scores)
    assert lines[1].split()[:4] == ["mine", "lv", "ED", "3"]


def test_a_shipped_student(tmp_path, arrays):
    found = stills(tmp_path, arrays)
    outlined = camus_stills.outline(camus_stills.load("small"), found.frames[:2])
    assert outlined.keys() == {"lv"}
    assert outlined["lv"].shape == (2, 112, 112)


def test_what_sees_each_frame_by_itself_is_not_shown_it_again(tmp_path, arrays):
    found = stills(tmp_path, arrays)
    network = build_model("unet", channels=(2, 2), structures=("lv", "la"))
    variables = factories.random_weights(network, np.zeros((1, 1, 112, 112, 1), np.float32))
    teacher = student_teacher.from_variables(network, variables)
    assert not camus_stills.sees_time(teacher)
    assert camus_stills.sees_time(camus_stills.load("small"))
    outlined = camus_stills.outline(teacher, found.frames)
    expected = keep_largest(predict_clip(teacher.network, found.frames)) > 127
    np.testing.assert_array_equal(outlined["la"], expected[..., 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"phase": None}, "stills.npz: has no 'phase', only"),
        ({"phase": np.array(["ED", "XX"] * 3)}, "phase 'XX'; expected ED or ES"),
        (
            {"atrium": np.zeros((5, 112, 112), bool)},
            r"atrium is bool\[5, 112, 112\]; expected bool",
        ),
        ({"frames": np.zeros((6, 112, 112))}, r"frames are float64\[6, 112, 112\]; expected uint8"),
        ({"patient": np.array(["a"])}, "other lengths than frames"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(tmp_path, arrays, change, message):
    given = {key: value for key, value in (arrays | change).items() if value is not None}
    with pytest.raises(UserError, match=message):
        stills(tmp_path, given)
