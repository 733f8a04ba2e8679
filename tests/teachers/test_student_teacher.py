import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.networks import predict_clip
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.networks.registry import build_model, describe_model
from echodfkd_jax.networks.safetensors import save_variables
from echodfkd_jax.runs.checkpoints import Checkpoints
from echodfkd_jax.runs.progress import Progress
from echodfkd_jax.teachers import load_teacher
from echodfkd_jax.teachers.base import Teacher
from echodfkd_jax.teachers.student_teacher import from_variables
from tests import factories

FIELDS = {"name": "convlstm", "blocks": 1, "layers": 1, "filters": 2, "subsampling": 1}


@pytest.fixture(scope="module")
def model():
    return build_model(**FIELDS)


@pytest.fixture(scope="module")
def variables(model):
    return factories.random_weights(model, jnp.zeros((1, 1, 8, 8, 1)))


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(0, 256, (3, 8, 8), np.uint8)


def test_says_what_the_student_says(model, variables, frames):
    teacher = from_variables(model, variables)
    assert isinstance(teacher, Teacher)
    mask = predict_clip(LoadedNetwork(model, variables), frames)
    np.testing.assert_array_equal(np.rint(255 * np.asarray(teacher(frames))), mask)


def test_apply_fn_takes_the_frames_as_one_clip(model, variables, frames):
    teacher = from_variables(model, variables)
    compiled = jax.jit(teacher.apply_fn)(jnp.asarray(frames, jnp.float32))
    np.testing.assert_allclose(compiled, teacher(frames), atol=0.5 / 255 + 1e-5)
    alone = teacher.apply_fn(jnp.asarray(frames[2:], jnp.float32))
    assert not np.allclose(alone[0], compiled[2], atol=1e-5)


def test_loads_an_exported_file(tmp_path, model, variables):
    path = tmp_path / "student.safetensors"
    save_variables(path, variables, {"model": describe_model(model)})
    teacher = load_teacher("student", weights=str(path))
    assert teacher.fingerprint == from_variables(model, variables).fingerprint


def test_loads_a_checkpoint_of_a_run(tmp_path, model, variables):
    (tmp_path / "config.json").write_text(json.dumps({"model": FIELDS}))
    other = jax.tree.map(lambda x: x + 1, variables)
    checkpoints = Checkpoints(tmp_path, keep_latest=2)
    best, latest = (
        Progress().after_epoch(1, 0.5),
        Progress().after_epoch(1, 0.5).after_epoch(2, 0.7),
    )
    checkpoints.save(dict(variables), best)
    checkpoints.save(dict(other), latest)
    checkpoints.close()
    expected = from_variables(model, variables).fingerprint
    assert load_teacher("student", weights=str(tmp_path)).fingerprint == expected
    newest = load_teacher("student", weights=str(tmp_path), checkpoint="latest")
    assert newest.fingerprint == from_variables(model, other).fingerprint


def test_fingerprint_tells_subsamplings_apart(model, variables):
    coarse = build_model(**{**FIELDS, "subsampling": 2})
    fingerprints = {from_variables(m, variables).fingerprint for m in (model, coarse)}
    assert len(fingerprints) == 2


def test_file_of_another_network_is_refused(tmp_path, variables):
    path = tmp_path / "student.safetensors"
    larger = build_model(**{**FIELDS, "layers": 2})
    save_variables(path, variables, {"model": describe_model(larger)})
    with pytest.raises(UserError, match=r"student\.safetensors: .*_0_1/.* is missing"):
        load_teacher("student", weights=str(path))


def test_file_without_a_description_is_refused(tmp_path, variables):
    path = tmp_path / "student.safetensors"
    save_variables(path, variables, {})
    with pytest.raises(UserError, match="the header does not describe a network"):
        load_teacher("student", weights=str(path))


def test_run_without_checkpoints_is_refused(tmp_path):
    with pytest.raises(UserError, match="has no checkpoint"):
        load_teacher("student", weights=str(tmp_path))


def test_weights_must_be_given():
    with pytest.raises(UserError, match=r"config\.teacher\.weights is empty"):
        load_teacher("student")
