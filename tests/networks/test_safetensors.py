import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.networks.safetensors import check_tree, load_variables, save_variables


def variables():
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
    return {"params": {"head": {"kernel": kernel, "bias": np.zeros(3, np.float32)}}}


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "folder" / "weights.safetensors"
    save_variables(path, variables(), {"model": '{"name": "unet"}'})
    loaded, metadata = load_variables(path)
    assert metadata == {"model": '{"name": "unet"}'}
    np.testing.assert_array_equal(loaded["params"]["head"]["kernel"], [[0, 1, 2], [3, 4, 5]])
    check_tree(path, loaded, variables())


def test_transposed_view_keeps_its_values(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_variables(path, {"kernel": np.arange(6.0).reshape(2, 3).T}, {})
    np.testing.assert_array_equal(load_variables(path)[0]["kernel"], [[0, 3], [1, 4], [2, 5]])


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_variables(path, variables(), {})
    with pytest.raises(Exception, match="metadata"):
        save_variables(path, variables(), {"step": 7})
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights.safetensors"]
    load_variables(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent.safetensors: no such file"):
        load_variables(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip file, as PyTorch writes"])
def test_foreign_file_is_named(tmp_path, content):
    path = tmp_path / "other.ckpt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"other.ckpt: not a readable safetensors file"):
        load_variables(path)


def test_truncated_file_is_named(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_variables(path, variables(), {})
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UserError, match=r"weights.safetensors: not a readable"):
        load_variables(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda head: head.pop("bias"), r"params/head/bias is missing, float32 \(3,\)"),
        (lambda head: head.update(scale=np.ones(3)), "params/head/scale is not part"),
        (
            lambda head: head.update(bias=np.zeros(4, np.float32)),
            r"params/head/bias is float32 \(4,\), expected float32 \(3,\)",
        ),
        (
            lambda head: head.update(bias=np.zeros(3, np.float16)),
            r"params/head/bias is float16 \(3,\), expected float32 \(3,\)",
        ),
    ],
)
def test_entry_that_does_not_fit_is_named(change, message):
    found = variables()
    change(found["params"]["head"])
    with pytest.raises(UserError, match=message):
        check_tree("w.safetensors", found, variables())
