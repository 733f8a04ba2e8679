import math

import numpy as np
import pytest

from echodfkd_jax.clips import tables
from echodfkd_jax.errors import UserError

HEADER = "FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split\n"


def _file_list(tmp_path, text):
    path = tmp_path / "FileList.csv"
    path.write_bytes(text.encode())
    return path


def test_row_is_read(tmp_path):
    path = _file_list(tmp_path, HEADER + "0X1,63.1,47.4,128.4,112,112,50,211,TEST\n")
    assert tables.read_file_list(path) == [
        tables.ListedClip("0X1", "TEST", 50.0, 63.1, 128.4, 47.4)
    ]


def test_byte_order_mark_crlf_case_extension_and_blank_lines_are_accepted(tmp_path):
    text = "\ufefffilename,split,fps\r\n\r\n0X1.avi,val,50\r\n,,\r\n"
    (clip,) = tables.read_file_list(_file_list(tmp_path, text))
    assert (clip.name, clip.split, clip.fps) == ("0X1", "VAL", 50.0)
    assert math.isnan(clip.ef_percent)


def test_zero_volumes_are_unknown(tmp_path):
    path = _file_list(tmp_path, HEADER + "sample_000000,10,0,0,1,1,32,1,TRAIN\n")
    (clip,) = tables.read_file_list(path)
    assert math.isnan(clip.edv_ml)
    assert math.isnan(clip.esv_ml)
    assert clip.ef_percent == 10.0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b,1,2,3,4,5,6,7,TRIAN", "Split is 'TRIAN'; expected TRAIN, VAL or TEST"),
        ("b,1,2,3,4,5,6,7,", "Split is ''; expected a value"),
        (",1,2,3,4,5,6,7,TEST", "FileName is ''; expected a value"),
        ("b,x,2,3,4,5,6,7,TEST", "EF is 'x'; expected a percentage, 0 to 100"),
        ("b,101,2,3,4,5,6,7,TEST", "EF is '101'; expected a percentage, 0 to 100"),
        ("b,inf,2,3,4,5,6,7,TEST", "EF is 'inf'; expected a percentage, 0 to 100"),
        ("b,1,-2,3,4,5,6,7,TEST", "ESV is '-2'; expected a volume in ml"),
        ("b,1,2,3,4,5,0,7,TEST", "FPS is '0'; expected a positive number"),
        ("a,1,2,3,4,5,6,7,TEST", "FileName is 'a'; expected a name that is not in the list yet"),
        ("b,1,2,TEST", "4 values; expected 9, one per column"),
    ],
)
def test_wrong_row_names_file_and_line(tmp_path, row, message):
    path = _file_list(tmp_path, f"{HEADER}a,1,2,3,4,5,6,7,TRAIN\n\n{row}\n")
    with pytest.raises(UserError) as caught:
        tables.read_file_list(path)
    assert str(caught.value) == f"FileList.csv, line 4: {message} ({path})"


def test_missing_column_is_named(tmp_path):
    with pytest.raises(UserError, match=r"line 1: column Split is missing"):
        tables.read_file_list(_file_list(tmp_path, "FileName,EF\na,1\n"))


@pytest.mark.parametrize("text", ["", HEADER])
def test_table_without_rows_is_refused(tmp_path, text):
    with pytest.raises(UserError, match=r"FileList\.csv"):
        tables.read_file_list(_file_list(tmp_path, text))


def test_absent_table_is_named(tmp_path):
    with pytest.raises(UserError, match=r"FileList\.csv: no such file"):
        tables.read_file_list(tmp_path / "FileList.csv")


def test_utf_16_is_refused(tmp_path):
    path = tmp_path / "FileList.csv"
    path.write_bytes(HEADER.encode("utf-16"))
    with pytest.raises(UserError, match="not readable as CSV in UTF-8"):
        tables.read_file_list(path)


def test_tracings_keep_the_order_of_frames_and_rows(tmp_path):
    path = tmp_path / "VolumeTracings.csv"
    path.write_text(
        "FileName,X1,Y1,X2,Y2,Frame\na.avi,1,2,3,4,61\na.avi,5,6,7,8,61\na.avi,0,0,1,1,46\n"
    )
    traced = tables.read_volume_tracings(path)
    assert list(traced["a"]) == [61, 46]
    assert traced["a"][61].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.avi,1,2,3,,5", "Y2 is ''; expected a pixel position"),
        ("a.avi,1,2,nan,4,5", "X2 is 'nan'; expected a pixel position"),
        ("a.avi,1,2,3,4,-1", "Frame is '-1'; expected a frame index from 0"),
        ("a.avi,1,2,3,4,1.5", "Frame is '1.5'; expected a frame index from 0"),
    ],
)
def test_wrong_tracing_names_file_and_line(tmp_path, row, message):
    path = tmp_path / "VolumeTracings.csv"
    path.write_text(f"FileName,X1,Y1,X2,Y2,Frame\n{row}\n")
    with pytest.raises(UserError) as caught:
        tables.read_volume_tracings(path)
    assert str(caught.value) == f"VolumeTracings.csv, line 2: {message} ({path})"


@pytest.mark.parametrize("name", ["..", "../..", "a\u202e", "a" * 201])
def test_a_name_that_is_no_files_name_is_refused(tmp_path, name):
    path = _file_list(tmp_path, f"FileName,Split\n{name},TRAIN\n")
    with pytest.raises(UserError, match=r"FileList\.csv, line 2: FileName is .*a file's name"):
        tables.read_file_list(path)


def test_a_name_cannot_leave_the_folder(tmp_path):
    path = _file_list(tmp_path, "FileName,Split\n../../x.avi,TRAIN\n..\\y,TRAIN\n/etc/z,TEST\n")
    assert [clip.name for clip in tables.read_file_list(path)] == ["x", "y", "z"]


def test_bytes_that_are_not_utf8_are_named_by_line(tmp_path):
    path = tmp_path / "FileList.csv"
    path.write_bytes(b"FileName,Split\na,TRAIN\nb\xff,TRAIN\n")
    with pytest.raises(UserError, match=r"FileList\.csv, line 3: not readable as CSV in UTF-8"):
        tables.read_file_list(path)


PEDIATRIC = "FileName,EF,Sex,Age,Weight,Height,Split\n"


@pytest.mark.parametrize(
    ("numbers", "splits"),
    [
        ("012", ["TRAIN", "VAL", "TEST"]),
        ("0123456789", ["TRAIN"] * 8 + ["VAL", "TEST"]),
    ],
)
def test_splits_that_are_numbers(tmp_path, numbers, splits):
    rows = "".join(f"clip{n}.avi,61.5,F,3,15,95,{n}\n" for n in numbers)
    clips = tables.read_file_list(_file_list(tmp_path, PEDIATRIC + rows))
    assert [clip.split for clip in clips] == splits


@pytest.mark.parametrize("split", ["10", "-1", "TEST", "1.5"])
def test_a_number_that_is_no_split(tmp_path, split):
    rows = "a,60,F,3,15,95,0\nb,60,F,3,15,95,1.0\n" + f"c,60,F,3,15,95,{split}\n"
    with pytest.raises(UserError, match=r"line 4: Split is .*; expected a number, 0 to 9"):
        tables.read_file_list(_file_list(tmp_path, PEDIATRIC + rows))


def test_a_number_among_names_is_no_split(tmp_path):
    with pytest.raises(UserError, match="line 4: Split is '1'; expected TRAIN, VAL or TEST"):
        tables.read_file_list(_file_list(tmp_path, "FileName,Split\na,VAL\nb,VAL\nc,1\n"))


def test_fractions_become_percent(tmp_path):
    text = "FileName,Split,EF\na,TRAIN,0.55\nb,TEST,0.3\nc,TEST,\n"
    clips = tables.read_file_list(_file_list(tmp_path, text))
    assert [clip.ef_percent for clip in clips[:2]] == pytest.approx([55, 30])
    assert math.isnan(clips[2].ef_percent)
    assert [clip.ef_was_fraction for clip in clips] == [True, True, False]


def test_a_fraction_among_percentages_is_refused(tmp_path):
    text = "FileName,Split,EF\na,TRAIN,55\nb,TEST,0.3\n"
    with pytest.raises(UserError, match=r"line 3: EF is '0\.3'; expected a percentage as in the"):
        tables.read_file_list(_file_list(tmp_path, text))


def test_tracings_that_are_outlines(tmp_path):
    path = tmp_path / "VolumeTracings.csv"
    path.write_text(
        "FileName,X,Y,Frame\na.avi,1,2,7\na.avi,3,2.5,7\na.avi,3,9,7\na.avi,,,No Systolic\n"
        "b.avi,0,0,No Diastolic\n"
    )
    traced = tables.read_volume_tracings(path)
    assert traced["a"][7].tolist() == [[1, 2], [3, 2.5], [3, 9]]
    assert list(traced["a"]) == [7]
    assert traced["b"] == {}


def test_tracings_are_written_as_they_are_read(tmp_path):
    rows = np.round(np.random.default_rng(0).uniform(0, 112, (21, 4)), 3)
    traced = {"a": {12: rows, 3: rows[::-1].copy()}, "b.c": {0: rows}}
    tables.write_volume_tracings(tmp_path / "VolumeTracings.csv", traced)
    lines = (tmp_path / "VolumeTracings.csv").read_text().splitlines()
    assert lines[0] == "FileName,X1,Y1,X2,Y2,Frame"
    assert lines[1].startswith("a.avi,") and lines[1].endswith(",12")
    read = tables.read_volume_tracings(tmp_path / "VolumeTracings.csv")
    assert {name: list(frames) for name, frames in read.items()} == {"a": [12, 3], "b.c": [0]}
    np.testing.assert_array_equal(read["a"][3], traced["a"][3])
