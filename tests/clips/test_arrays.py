import concurrent.futures
import gc
import io
import time
import zipfile

import numpy as np
import pytest

from echodfkd_jax.clips import arrays
from echodfkd_jax.errors import UserError

ROWS = np.arange(12, dtype=np.int16).reshape(3, 4)


def npy(array, **changes):
    """An NPY file, with words of its header replaced."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    content = buffer.getvalue()
    for word, other in changes.items():
        content = content.replace(word.encode(), other.encode().ljust(len(word)))
    return content


@pytest.mark.parametrize("array", [ROWS, ROWS.T, ROWS[:0], np.float64(3), np.array("name")])
def test_what_numpy_writes_is_read(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", array, other=ROWS)
    for name in ("a.npy", "a.npz"):
        read = arrays.read_arrays(tmp_path / name)["arr_0"]
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)


def test_more_rows_than_there_are_bytes(tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(npy(ROWS).replace(b"(3, 4), }", b"(10**9, 4)"))
    with pytest.raises(UserError, match=r"a\.npy: not readable"):
        arrays.read_arrays(path)
    path.write_bytes(npy(ROWS).replace(b"(3, 4), }   ", b"(900, 400), "[:11] + b"}"))
    with pytest.raises(UserError, match=r"a\.npy: the header claims int16\[900, 400\], 720000"):
        arrays.read_arrays(path)


def test_an_archive_that_grows_beyond_the_limit(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", np.zeros(10_000, np.uint8))
    monkeypatch.setattr(arrays, "MAX_BYTES", 10_000)
    with pytest.raises(UserError, match=r"a\.npz: claims to unpack to 10128 bytes; at most 10000"):
        arrays.read_arrays(tmp_path / "a.npz")


def test_an_archive_that_claims_more_than_can_be_packed(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("arr_0.npy", npy(np.zeros(2**24, np.uint8)))
    with pytest.raises(UserError, match="claims to unpack to 16777344 bytes"):
        arrays.read_arrays(path)


def test_a_file_that_was_cut(tmp_path):
    (tmp_path / "a.npy").write_bytes(npy(ROWS)[:-1])
    with pytest.raises(UserError, match=r"a\.npy: ends after 23 of 24 bytes"):
        arrays.read_arrays(tmp_path / "a.npy")


def test_objects_are_not_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", np.array([{}], object))
    with pytest.raises(UserError, match=r"a\.npz: holds Python objects"):
        arrays.read_arrays(tmp_path / "a.npz")


def test_many_threads_may_read_at_once(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, np.zeros((1, 2, 3)))

    def let_others_run(phase, info):
        time.sleep(0.0005)

    def read_at_depth(depth):
        return read_at_depth(depth - 1) if depth else arrays.read_arrays(path)

    # Python's garbage collection is where a thread stops in the middle of a header.
    gc.callbacks.append(let_others_run)
    threshold = gc.get_threshold()
    gc.set_threshold(10, 1, 1)
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = list(pool.map(read_at_depth, [number % 40 for number in range(2000)]))
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(let_others_run)
    assert len(found) == 2000
