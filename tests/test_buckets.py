"""Runs, data sets and clips in emulated buckets; needs `pip install '.[emulators]'`."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

from echodfkd_jax import buckets, files
from echodfkd_jax.errors import DiskError, UserError
from echodfkd_jax.runs.writers import Writer, read_lines

ROOT = pathlib.Path(__file__).parents[1]
NEEDED = ("gcsfs", "s3fs", "moto", "gcp_storage_emulator")
missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
needs_emulators = pytest.mark.skipif(
    bool(missing), reason=f"{', '.join(missing)} not installed; pip install '.[emulators]'"
)


@pytest.fixture(scope="module")
def emulators():
    """The environment in which gs://heart and s3://heart are on this machine."""
    command = [sys.executable, str(ROOT / "tests" / "emulated_buckets.py"), "heart"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    yield json.loads(process.stdout.readline())
    process.communicate()


@pytest.fixture(params=["gs://heart", "s3://heart"])
def bucket(request, emulators, monkeypatch, tmp_path):
    for name, value in {**emulators, "XDG_CACHE_HOME": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    yield f"{request.param}/{request.node.name.partition('[')[0]}"


def names_in(folder):
    return sorted(path.name for path in files.path_of(folder).iterdir())


def test_paths_are_local_or_in_a_bucket(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RUN", "seven")
    assert files.path_of("~/a/$RUN") == tmp_path / "a" / "seven"
    assert files.path_of(tmp_path / "$RUN").name == "$RUN"  # A path is taken as it is.
    assert files.is_bucket("gs://b/a") and not files.is_bucket(tmp_path)
    assert not files.is_bucket("gs:/b")


@pytest.mark.parametrize("text", ["ftp://host/a", "gs://", "https://storage.googleapis.com/b"])
def test_other_places_are_refused(text):
    with pytest.raises(UserError, match="expected a local path, gs://bucket/folder or s3://"):
        files.path_of(text)


@pytest.mark.parametrize(
    ("scheme", "extra", "package"), [("gs", "gcs", "gcsfs"), ("s3", "s3", "s3fs")]
)
def test_what_is_not_installed_is_named(scheme, extra, package):
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from echodfkd_jax import cli\n"
        f"sys.exit(cli.main(['main.py', 'predict', '--config.workdir={scheme}://b/run']))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"pip install 'echodfkd_jax[{extra}]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_numbers_that_json_lacks_are_null(tmp_path):
    path = files.write_json(tmp_path / "a.json", {"a": [float("nan"), 1.5], 2: float("inf")})
    assert files.read_json(path, "") == {"a": [None, 1.5], "2": None}


@needs_emulators
def test_a_file_arrives_whole_or_not_at_all(bucket):
    path = files.write_text(f"{bucket}/deep/a.txt", "one")
    with pytest.raises(RuntimeError), files.replacing(path) as file:
        file.write(b"half of tw")
        raise RuntimeError
    assert path.read_text() == "one"
    assert names_in(f"{bucket}/deep") == ["a.txt"]


@needs_emulators
def test_a_folder_takes_the_place_of_another(bucket):
    for name in ("a", "b"):
        with buckets.replacing_folder(f"{bucket}/made") as folder:
            (folder / name).write_text(name)
    assert names_in(f"{bucket}/made") == ["b"]
    moved = buckets.move_folder(f"{bucket}/made", f"{bucket}/moved")
    assert (names_in(moved), files.path_of(f"{bucket}/made").exists()) == (["b"], False)


@needs_emulators
def test_a_local_copy_follows_the_bucket(bucket):
    files.write_text(f"{bucket}/clips/deep/a.txt", "one")
    files.write_text(f"{bucket}/clips/b.txt", "two")
    copy = buckets.local_copy(f"{bucket}/clips")
    assert (copy / "deep" / "a.txt").read_text() == "one"
    kept_ns = (copy / "b.txt").stat().st_mtime_ns
    files.write_text(f"{bucket}/clips/deep/a.txt", "three")
    buckets.local_copy(f"{bucket}/clips")
    assert (copy / "deep" / "a.txt").read_text() == "three"
    assert (copy / "b.txt").stat().st_mtime_ns == kept_ns  # Not fetched again.
    files.path_of(f"{bucket}/clips/b.txt").unlink()
    assert not (buckets.local_copy(f"{bucket}/clips") / "b.txt").exists()
    assert buckets.local_copy(f"{bucket}/clips/deep/a.txt").read_text() == "three"
    with pytest.raises(UserError, match="nothing is there"):
        buckets.local_copy(f"{bucket}/none")


@needs_emulators
def test_a_bucket_that_is_not_there_is_one_line(bucket):
    with pytest.raises(DiskError, match=r"cannot write to .*://nobody/a"):
        files.write_text(f"{bucket.partition('heart')[0]}nobody/a", "one")


@needs_emulators
def test_lines_and_curves_grow_in_a_bucket(bucket, caplog):
    for resume_step in (0, 1):
        writer = Writer(f"{bucket}/tensorboard", f"{bucket}/m.jsonl", resume_step=resume_step)
        for step in (resume_step + 1, resume_step + 2):
            writer.write_scalars(step, {"loss": float(step)})
        writer.close()
    assert [line["step"] for line in read_lines(f"{bucket}/m.jsonl")] == [1, 2, 3]
    assert len(names_in(f"{bucket}/tensorboard")) == 2
    with files.locked(f"{bucket}/lock", "taken"):
        assert "a bucket has no locks" in caplog.text


@needs_emulators
@pytest.mark.slow
def test_a_run_lives_in_a_bucket(bucket):
    """Made, trained, evaluated, reported; continued; its data set and clips there, too."""
    places = [f"--config.workdir={bucket}/run", f"--config.dataset.data_dir={bucket}/data"]
    options = ["--config=configs/synthetic.py:smoke", "--config.train.schedule=constant", *places]

    def run(*more):
        command = [sys.executable, "main.py", *options, *more]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    said = run("--config.train.num_epochs=1")
    assert "prepare: sending" in said and "a bucket has no locks" in said
    said = run("--config.train.num_epochs=2")
    assert "prepare: already done" in said and "continuing after step 2 of 4" in said
    assert names_in(f"{bucket}/run/checkpoints") == ["2", "4"]
    for name in ("config.json", "parameters.txt", "metrics.jsonl", "report/index.html"):
        assert files.path_of(f"{bucket}/run/{name}").read_bytes(), name
    metrics = files.read_json(f"{bucket}/run/evaluation/test/metrics.json", "")
    assert metrics["checkpoint_step"] in (2, 4)
    assert [line["step"] for line in read_lines(f"{bucket}/run/metrics.jsonl")][-1] == 4
    assert names_in(f"{bucket}/run/tensorboard/train")
    said = run("--config.train.num_epochs=2")
    for word in ("already trained", "already evaluated", "report is up to date"):
        assert word in said
    assert not (ROOT / "gs:").exists() and not (ROOT / "s3:").exists()
