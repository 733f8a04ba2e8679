"""What CAMUS says in text: the information beside a clip, the lists of the splits, the folders."""

import math

import pytest

from echodfkd_jax.clips import camus, camus_info
from echodfkd_jax.errors import UserError
from tests.clips import camus_folder
from tests.clips.camus_folder import write_patient


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ED: 1\nES: 2", "NbFrame is ''; expected a whole number"),
        ("ED: 1\nES: 3\nNbFrame: 2", "line 2: ES is '3'; expected a whole number from 1 to 2"),
        ("ED: 0\nES: 2\nNbFrame: 2", "line 1: ED is '0'"),
        ("ED: 1.5\nES: 2\nNbFrame: 2", "line 1: ED is '1.5'"),
        ("ED: 2\nES: 2\nNbFrame: 2", "line 2: ES is 2, the frame of ED; expected another"),
        ("ED: 1\nES: 2\nNbFrame: 2\nEF: 250", "line 4: EF is '250'; expected a percentage"),
        ("ED: 1\nES: 2\nNbFrame: 2\nFrameRate: -1", "FrameRate is '-1'; expected frames a second"),
        ("ED: 1\nES 2\nNbFrame: 2", "line 2: 'ES 2' is no 'key: value'"),
        ("ED: 1\nED: 2\nNbFrame: 2", "line 2: 'ed' stands there twice"),
        ("ED: 1\nES: nan\nNbFrame: 2", "line 2: ES is 'nan'"),
    ],
)
def test_bad_values_of_an_info_file(tmp_path, text, message):
    path = tmp_path / "Info_4CH.cfg"
    path.write_text(text + "\n")
    with pytest.raises(UserError, match=message):
        camus_info.read_info(path)


def test_an_info_file_needs_no_rate_and_no_ejection_fraction(tmp_path):
    path = tmp_path / "Info_4CH.cfg"
    path.write_bytes(
        b"\xef\xbb\xbfED:  20\r\nES: 1\r\nNbFrame: 20.0\r\nEF:\r\nImageQuality: Poor\r\n"
    )
    info = camus_info.read_info(path)
    assert info[:3] == (19, 0, 20)
    assert math.isnan(info.fps) and math.isnan(info.ef_percent)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("subgroup_testing.txt", None, "subgroup_testing.txt: no such file"),
        ("subgroup_testing.txt", "", "subgroup_testing.txt: names no patient"),
        ("subgroup_testing.txt", "patient0001\n", "line 1: patient0001 is named before, in"),
        ("subgroup_training.txt", "patient\n", "line 1: 'patient'; expected a name like"),
        ("subgroup_training.txt", b"\xff\xfe", "subgroup_training.txt: not readable as text"),
    ],
)
def test_bad_lists(tmp_path, name, text, message):
    folder = camus_folder.build(tmp_path)
    path = folder / "database_split" / name
    if text is None:
        path.unlink()
    else:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message):
        camus.open_folder(folder)


def test_several_folders_are_named(tmp_path):
    for name in ("a", "b"):
        write_patient(tmp_path / name / "database_nifti", "patient0001")
    with pytest.raises(UserError, match=r"holds 2 folders with patients; name one: .*a/database_"):
        camus.open_folder(tmp_path)


def test_folders_without_a_patient(tmp_path):
    with pytest.raises(UserError, match="no patient there; expected database_nifti/patient0001/"):
        camus.open_folder(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        camus.open_folder(tmp_path / "nowhere")
    assert not camus.is_layout(tmp_path)
