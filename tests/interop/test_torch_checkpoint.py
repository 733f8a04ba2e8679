import sys

import numpy as np
import pytest
import safetensors.numpy

from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.torch_checkpoint import read_state_dict, write_state_dict

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


class Malice:
    """Unpickled without a guard, this leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_reads_a_plain_state_dict(torch, tmp_path):
    torch.save({"conv.weight": torch.from_numpy(WEIGHT)}, tmp_path / "a.pt")
    state_dict = read_state_dict(tmp_path / "a.pt")
    assert list(state_dict) == ["conv.weight"]
    np.testing.assert_array_equal(state_dict["conv.weight"], WEIGHT)


def test_what_is_written_is_read_and_by_pytorch_too(torch, tmp_path):
    write_state_dict(tmp_path / "a.ckpt", {"w": WEIGHT.T})
    np.testing.assert_array_equal(read_state_dict(tmp_path / "a.ckpt")["w"], WEIGHT.T)
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert content["state_dict"]["w"].shape == (3, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["a.ckpt"]


def test_writing_safetensors_needs_no_pytorch(tmp_path):
    write_state_dict(tmp_path / "a.safetensors", {"w": WEIGHT.T})
    np.testing.assert_array_equal(read_state_dict(tmp_path / "a.safetensors")["w"], WEIGHT.T)


def test_an_unknown_kind_is_not_written(tmp_path):
    with pytest.raises(UserError, match=r"a\.h5: unknown kind of checkpoint '\.h5'"):
        write_state_dict(tmp_path / "a.h5", {"w": WEIGHT})


@pytest.mark.parametrize("zipped", [True, False])
def test_reads_the_weights_of_a_training_checkpoint(torch, tmp_path, zipped):
    content = {"epoch": 3, "best_loss": 0.25, "state_dict": {"w": torch.from_numpy(WEIGHT)}}
    path = tmp_path / "a.ckpt"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    np.testing.assert_array_equal(read_state_dict(path)["w"], WEIGHT)


def test_numpy_numbers_and_settings_beside_the_weights_do_no_harm(torch, tmp_path):
    import argparse

    content = {
        "state_dict": {"w": torch.from_numpy(WEIGHT)},
        "dice": np.float64(0.92),
        "settings": argparse.Namespace(lr=1e-3),
    }
    path = tmp_path / "a.pt"
    torch.save(content, path, _use_new_zipfile_serialization=False)
    np.testing.assert_array_equal(read_state_dict(path)["w"], WEIGHT)
    # The same file as NumPy 1 would have written it: its private module had another name.
    old = path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert old != path.read_bytes()
    path.write_bytes(old)
    np.testing.assert_array_equal(read_state_dict(path)["w"], WEIGHT)


def test_bfloat16_becomes_float32(torch, tmp_path):
    torch.save({"w": torch.tensor([1.5], dtype=torch.bfloat16)}, tmp_path / "a.pt")
    weight = read_state_dict(tmp_path / "a.pt")["w"]
    assert weight.dtype == np.float32
    assert weight[0] == 1.5


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_named_and_not_run(torch, tmp_path, zipped):
    victim = tmp_path / "victim"
    path = tmp_path / "evil.pt"
    content = {"state_dict": {"w": torch.from_numpy(WEIGHT)}, "extra": Malice(victim)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"evil\.pt: holds (io|builtins|_io)\.open"):
        read_state_dict(path)
    assert not victim.exists()


def test_pickled_module_is_refused_by_its_type(torch, tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"a\.pt: holds torch\.nn\.modules\.linear\.Linear"):
        read_state_dict(tmp_path / "a.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_file_is_named(torch, tmp_path, zipped):
    path = tmp_path / "half.pt"
    torch.save({"w": torch.zeros(1000)}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"half\.pt: damaged, or no PyTorch file"):
        read_state_dict(path)


@pytest.mark.parametrize("content", [b"", b"hello world", b"<!doctype html>"])
def test_other_content_is_named(torch, tmp_path, content):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.pt: damaged, or no PyTorch file"):
        read_state_dict(tmp_path / "a.pt")


def test_file_without_weights_is_refused(torch, tmp_path):
    torch.save({"epoch": 3}, tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"a\.pt: no state dict found"):
        read_state_dict(tmp_path / "a.pt")


def test_pytorch_is_asked_for_when_it_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "a.pt").write_bytes(b"")
    with pytest.raises(UserError, match=r"a\.pt: reading a PyTorch file needs PyTorch"):
        read_state_dict(tmp_path / "a.pt")


def test_safetensors_needs_no_pytorch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    safetensors.numpy.save_file({"w": WEIGHT}, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(read_state_dict(tmp_path / "a.safetensors")["w"], WEIGHT)


def test_damaged_safetensors_file_is_named(tmp_path):
    path = tmp_path / "a.safetensors"
    safetensors.numpy.save_file({"w": WEIGHT}, path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UserError, match=r"a\.safetensors: not a readable safetensors file"):
        read_state_dict(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.pt: no such checkpoint file"):
        read_state_dict(tmp_path / "none.pt")


def test_unknown_extension_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"unknown kind of checkpoint '\.h5'"):
        read_state_dict(tmp_path / "a.h5")
