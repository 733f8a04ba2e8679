import io
import pathlib
import tempfile
import zipfile

import pytest
from werkzeug.test import Client

from echodfkd_jax.errors import UserError
from echodfkd_jax.page import Application

NOTICE = "not a medical device"
CONTENT = {
    "name": "clip",
    "remarks": ["Only <half> a beat."],
    "notes": [],
    "beats": [
        {"ed_frame": 3, "es_frame": 12, "ef_disks_percent": 57.4, "ef_area_percent": 44.6},
    ],
    "ef_disks_percent": 57.4,
    "ef_area_percent": 44.6,
    "edv_ml": None,
    "esv_ml": None,
    "heart_rate_per_min": None,
    "confidence": 0.75,
    "num_frames": 40,
    "fps": 50.0,
}


class Recorder:
    """Stands in for the prediction; remembers what it was given."""

    def __init__(self):
        self.clips = []

    def __call__(self, clip, name, output):
        content = clip.read_bytes()
        self.clips.append((clip, content))
        if content.startswith(b"no clip"):
            raise UserError(f"{clip}: not readable as a video")
        for suffix in ("mp4", "png", "json", "seg.npz"):
            (output / f"{name}.{suffix}").write_bytes(suffix.encode())
        return {**CONTENT, "name": name, "source": str(clip)}


@pytest.fixture
def predict():
    return Recorder()


@pytest.fixture
def client(predict):
    page = Application(
        predict,
        max_upload_mib=1,
        accepted=(".avi", ".dcm"),
        notice=NOTICE,
        trusted_hosts=("localhost",),
    )
    return Client(page)


def upload(client, content, name="clip.avi", **options):
    return client.post("/", data={"clip": (io.BytesIO(content), name)}, **options)


def test_the_form_says_what_is_taken(client):
    page = client.get("/")
    assert page.status_code == 200
    for part in ('accept=".avi,.dcm"', "up to 1 MiB", NOTICE):
        assert part in page.text


def test_a_clip_is_answered_with_its_numbers(client):
    page = upload(client, b"frames", follow_redirects=True)
    assert page.status_code == 200
    for part in ('id="ef_disks">57\N{NO-BREAK SPACE}%<', 'id="ef_area">45\N{NO-BREAK SPACE}%<'):
        assert part in page.text
    assert "Only &lt;half&gt; a beat." in page.text
    assert "<td>3</td><td>12</td>" in page.text
    assert NOTICE in page.text


def test_the_answers_files_can_be_fetched(client):
    where = upload(client, b"frames").headers["Location"]
    video = client.get(f"{where}/clip.mp4")
    assert (video.data, video.mimetype) == (b"mp4", "video/mp4")
    part = client.get(f"{where}/clip.mp4", headers={"Range": "bytes=1-"})
    assert (part.status_code, part.data) == (206, b"p4")
    archive = client.get(f"{where}/clip.zip")
    assert "attachment" in archive.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(archive.data)) as file:
        assert sorted(file.namelist()) == ["clip.json", "clip.mp4", "clip.png", "clip.seg.npz"]


@pytest.mark.parametrize("content", [b"frames", b"no clip"])
def test_nothing_stays_on_disk(client, predict, monkeypatch, tmp_path, content):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    upload(client, content)
    ((clip, seen),) = predict.clips
    assert seen == content and tmp_path in clip.parents
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_names_the_file_and_no_folder(client):
    page = upload(client, b"no clip")
    assert page.status_code == 422
    assert "error: clip.avi: not readable as a video" in page.text


def test_a_larger_file_is_refused_unread(client, predict):
    page = upload(client, bytes(2**20 + 1))
    assert page.status_code == 413
    assert "error: the file is larger than 1 MiB" in page.text
    assert predict.clips == []


def test_a_larger_file_of_unknown_length_is_refused_while_it_arrives(client, predict):
    body = b'--x\r\nContent-Disposition: form-data; name="clip"; filename="a.avi"\r\n\r\n'
    page = client.post(
        "/",
        input_stream=io.BytesIO(body + bytes(2**21)),
        headers={"Content-Type": "multipart/form-data; boundary=x", "Content-Length": ""},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert page.status_code == 413
    assert predict.clips == []


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("../../etc/my clip.AVI", "my_clip.AVI"),
        ("\u043a\u043b\u0438\u043f.avi", "clip.avi"),
        ("IM_0001", "IM_0001"),
        (".avi", "avi"),
        ("a" * 300 + ".mp4", "a" * 100 + ".mp4"),
        ("a.b/../x.<script>", "x.script"),
    ],
)
def test_names_of_files_are_made_plain(client, predict, given, used):
    upload(client, b"frames", name=given)
    assert predict.clips[0][0].name == used


@pytest.mark.parametrize("data", [{}, {"clip": "text"}, {"clip": (io.BytesIO(b""), "")}])
def test_no_file_is_no_clip(client, data):
    page = client.post("/", data=data)
    assert page.status_code == 400
    assert "error: no file came" in page.text


def test_forms_of_other_sites_are_refused(client, predict):
    page = upload(client, b"frames", headers={"Origin": "http://elsewhere.example"})
    assert page.status_code == 403
    assert predict.clips == []
    assert upload(client, b"frames", headers={"Origin": "http://localhost"}).status_code == 303


def test_another_name_of_this_machine_is_refused(client):
    assert client.get("/", headers={"Host": "elsewhere.example"}).status_code == 400


@pytest.mark.parametrize("path", ["/answers/guess", "/answers/guess/clip.mp4"])
def test_what_is_not_kept_is_said_to_be_gone(client, path):
    page = client.get(path)
    assert page.status_code == 404
    assert "no longer kept" in page.text


def test_a_file_that_the_answer_has_not(client):
    where = upload(client, b"frames").headers["Location"]
    assert client.get(f"{where}/other.mp4").status_code == 404


def test_nothing_is_fetched_from_elsewhere(client):
    page = client.get("/")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    static = pathlib.Path("echodfkd_jax/page/static")
    for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript")):
        found = client.get(f"/{name}")
        assert (found.status_code, found.mimetype) == (200, kind)
        assert b"http" not in found.data and static.joinpath(name).read_bytes() == found.data
    assert "http" not in page.text


@pytest.mark.parametrize("path", ["/nothing", "/page.html", "/../application.py"])
def test_there_is_nothing_else(client, path):
    assert client.get(path).status_code == 404
