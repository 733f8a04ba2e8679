import contextlib
import errno
import os
import pathlib
import subprocess
import sys

import pytest

from echodfkd_jax import disk, files
from echodfkd_jax.errors import UserError
from echodfkd_jax.runs.writers import Writer


def test_a_file_is_replaced_whole(tmp_path):
    path = files.write_text(tmp_path / "deep" / "a.txt", "one")
    with pytest.raises(RuntimeError), files.replacing(path) as file:
        file.write(b"half of tw")
        raise RuntimeError
    assert path.read_text() == "one"
    assert [found.name for found in path.parent.iterdir()] == ["a.txt"]


def test_a_name_without_utf8_is_escaped(tmp_path):
    path = files.write_text(tmp_path / "a.txt", os.fsdecode(b"caf\xe9.avi"))
    assert path.read_text() == "caf\\udce9.avi"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_what_the_disk_says_is_one_line(number):
    with (
        pytest.raises(UserError, match=rf"cannot write to a/b: {os.strerror(number)}; make room"),
        disk.writing("a/b"),
    ):
        raise OSError(number, os.strerror(number))


def test_the_errors_own_file_is_named():
    with pytest.raises(UserError, match="cannot write to c: Permission"), disk.writing("a/b"):
        raise PermissionError(errno.EACCES, "Permission denied", "c")


def test_a_librarys_text_is_known():
    error = ValueError("INTERNAL: writing shard: No space left on device [os_error 28]")
    assert disk.reason_of(error) == "No space left on device"


def test_a_mistake_is_no_disks():
    with pytest.raises(KeyError), disk.writing("a/b"):
        raise KeyError("x")
    assert disk.reason_of(ValueError("x")) == ""


def test_a_lock_is_held_once_and_ends_with_its_process(tmp_path):
    path = tmp_path / "lock"
    held = (
        "import sys, time\nfrom echodfkd_jax import files\n"
        "with files.locked(sys.argv[1], 'taken'):\n"
        "    print('held', flush=True)\n    time.sleep(99)"
    )
    root = pathlib.Path(__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", held, str(path)], stdout=subprocess.PIPE, text=True, cwd=root
    )
    assert process.stdout.readline() == "held\n"
    with pytest.raises(UserError, match="taken"), files.locked(path, "taken"):
        pass
    process.kill()
    process.communicate()
    with files.locked(path, "taken"):
        assert path.exists()


@pytest.fixture
def full(tmp_path):
    """A disk of 20 kB."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root alone")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_what_was_there(full):
    path = files.write_text(full / "a.txt", "one")
    with pytest.raises(UserError, match=rf"cannot write to {path}: No space left on device"):
        files.write_bytes(path, bytes(10**6))
    assert path.read_text() == "one"
    assert [found.name for found in full.iterdir()] == ["a.txt"]


def test_a_writer_ends_on_a_full_disk(full):
    writer = Writer(full / "events", full / "metrics.jsonl")
    with pytest.raises(UserError, match="No space left on device"):
        for step in range(10**5):
            writer.write_scalars(step, {"loss": 1.0, "rate": 2.0})
    with contextlib.suppress(UserError):  # Where there was room for the rest, it ends well.
        writer.close()
