import io
import json
import pathlib
import re
import struct
import tempfile
import zipfile

import pytest
from werkzeug.test import Client

from echodfkd_jax.errors import UserError
from echodfkd_jax.page import Application
from tests.page.stand_in_clip import StandInClip, write_corrections

NOTICE = "not a medical device"
STATIC = pathlib.Path("echodfkd_jax/page/static")
OWN = sorted(path.name for path in STATIC.iterdir() if path.is_file())


class Recorder:
    """Stands in for the outlining; remembers what it was given."""

    def __init__(self):
        self.clips = []

    def __call__(self, path, name):
        content = path.read_bytes()
        self.clips.append((path, content))
        if content.startswith(b"no clip"):
            raise UserError(f"{path}: not readable as a video")
        return StandInClip(name)


@pytest.fixture
def outline():
    return Recorder()


@pytest.fixture
def client(outline):
    page = Application(
        outline,
        write_corrections,
        max_upload_mib=1,
        accepted=(".avi", ".dcm"),
        notice=NOTICE,
        trusted_hosts=("localhost",),
    )
    return Client(page)


def upload(client, content=b"frames", name="clip.avi", **options):
    return client.post("/clips", data={"clip": (io.BytesIO(content), name)}, **options)


@pytest.fixture
def clip(client):
    """The address of a clip."""
    return f"/clips/{upload(client).json['id']}"


def test_the_page_says_what_is_taken(client):
    page = client.get("/")
    assert page.status_code == 200
    for part in ('accept=".avi,.dcm"', "up to 1 MiB", 'data-max-mib="1"'):
        assert part in page.text
    assert page.text.count(NOTICE) == 2  # At the top, and beside the numbers.


def test_a_clip_is_answered_with_its_numbers(client):
    answer = upload(client)
    assert answer.status_code == 201
    assert len(answer.json.pop("id")) >= 16
    assert answer.json["source"] == "clip.avi"
    assert answer.json["record"]["ef_disks_percent"] == 57.4
    assert (answer.json["corrected"], answer.json["can_undo"]) == (False, False)


def test_a_clip_is_opened_with_its_frames(client, clip):
    assert client.get(clip).json["predicted"] == client.get(clip).json["predicted"]
    content = client.get(f"{clip}/pictures").data
    assert content == struct.pack(">I", 5) + b"first" + struct.pack(">I", 10) + b"second one"


def test_corrections_are_measured_kept_and_taken_back(client, clip):
    tried = client.post(f"{clip}/measure", json={"beats": 1}).json
    assert tried["record"]["told"] == {"beats": 1}
    assert client.get(f"{clip}/now").json["corrections"] is None  # Measured, not kept.
    kept = client.post(f"{clip}/corrections", json={"beats": 2}).json
    assert (kept["corrections"], kept["corrected"], kept["can_undo"]) == ({"beats": 2}, True, True)
    assert client.get(f"{clip}/now").json == kept
    back = client.post(f"{clip}/undo").json
    assert (back["corrections"], back["can_redo"]) == (None, True)
    assert client.post(f"{clip}/redo").json == kept


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"json": [1]}, r"error: \[1\] is no correction"),
        ({"data": b"{", "content_type": "application/json"}, "the correction is no JSON"),
        ({"data": b"[" * 10**5, "content_type": "application/json"}, "the correction is no JSON"),
        ({"data": b"{}"}, "is sent as application/json"),
    ],
)
@pytest.mark.parametrize("path", ["measure", "corrections"])
def test_what_is_no_correction_is_refused_in_words(client, clip, path, options, reason):
    answer = client.post(f"{clip}/{path}", **options)
    assert answer.status_code == 422
    assert re.search(reason, answer.json["error"])
    assert client.get(f"{clip}/now").json["corrected"] is False


def test_an_endless_correction_is_refused(client, clip):
    answer = client.post(f"{clip}/corrections", json={"outlines": "x" * 2**21})
    assert answer.status_code == 413
    assert answer.json["error"] == "error: the correction is larger than 2 MiB"


def names_in(response):
    assert response.status_code == 200
    assert "attachment" in response.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(response.data)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_results_of_one_and_of_several_clips(client):
    first, second = (upload(client).json["id"] for _ in range(2))
    client.post(f"/clips/{second}/corrections", json={"beats": 2})
    one = client.get(f"/results.zip?clips={first}")
    assert one.headers["Content-Disposition"].endswith("filename=clip.zip")
    assert names_in(one) == {"clip.json": "None"}
    both = client.get(f"/results.zip?clips={first},{second}")
    assert names_in(both) == {"clip.json": "None", "clip_2.json": "{'beats': 2}"}


def test_results_in_another_format(client, clip):
    name = clip.rpartition("/")[2]
    found = client.get(f"/results.zip?clips={name}&as=nifti")
    assert found.headers["Content-Disposition"].endswith("filename=clip.nifti.zip")
    assert names_in(found) == {"clip.nifti": "None"}
    refused = client.get(f"/results.zip?clips={name}&as=../x")
    assert refused.status_code == 422
    assert refused.json["error"] == "error: '../x' is not offered"


def test_corrections_alone(client):
    first, second = (upload(client).json["id"] for _ in range(2))
    nothing = client.get(f"/corrections.zip?clips={first},{second}")
    assert (nothing.status_code, nothing.json["error"]) == (409, "error: nothing is corrected yet")
    client.post(f"/clips/{second}/corrections", json={"beats": 2})
    found = names_in(client.get(f"/corrections.zip?clips={first},{second}"))
    assert found == {"Videos/clip_2.txt": "clip {'beats': 2}"}


@pytest.mark.parametrize("query", ["", "?clips=", "?clips=guess", "?clips=guess,{id}"])
@pytest.mark.parametrize("kind", ["results", "corrections"])
def test_downloads_of_clips_that_are_not_kept(client, clip, kind, query):
    answer = client.get(f"/{kind}.zip{query}".replace("{id}", clip.rpartition("/")[2]))
    assert answer.status_code == 422
    assert "no longer kept" in answer.json["error"]


def test_a_removed_clip_is_gone(client, clip):
    assert client.delete(clip).status_code == 204
    assert client.get(clip).status_code == 404


@pytest.mark.parametrize("content", [b"frames", b"no clip"])
def test_nothing_stays_on_disk(client, outline, monkeypatch, tmp_path, content):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    answer = upload(client, content)
    if answer.status_code == 201:
        client.get(f"/results.zip?clips={answer.json['id']}")
    ((path, seen),) = outline.clips
    assert seen == content and tmp_path in path.parents
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_names_the_file_and_no_folder(client):
    answer = upload(client, b"no clip")
    assert answer.status_code == 422
    assert answer.json["error"] == "error: clip.avi: not readable as a video"


def test_a_larger_file_is_refused_unread(client, outline):
    answer = upload(client, bytes(2**20 + 1))
    assert answer.status_code == 413
    assert answer.json["error"] == "error: the file is larger than 1 MiB"
    assert outline.clips == []
    answer.request.environ["wsgi.input"].close()  # werkzeug's own client leaves it open.


def test_a_larger_file_of_unknown_length_is_refused_while_it_arrives(client, outline):
    body = b'--x\r\nContent-Disposition: form-data; name="clip"; filename="a.avi"\r\n\r\n'
    answer = client.post(
        "/clips",
        input_stream=io.BytesIO(body + bytes(2**21)),
        headers={"Content-Type": "multipart/form-data; boundary=x", "Content-Length": ""},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == 413
    assert outline.clips == []


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
def test_names_of_files_are_made_plain(client, outline, given, used):
    upload(client, name=given)
    assert outline.clips[0][0].name == used


@pytest.mark.parametrize("data", [{}, {"clip": "text"}, {"clip": (io.BytesIO(b""), "")}])
def test_no_file_is_no_clip(client, data):
    answer = client.post("/clips", data=data)
    assert answer.status_code == 400
    assert "error: no file came" in answer.json["error"]


def test_pages_of_other_sites_are_refused(client, clip, outline):
    elsewhere = {"Origin": "http://elsewhere.example"}
    assert upload(client, headers=elsewhere).status_code == 403
    assert client.post(f"{clip}/undo", headers=elsewhere).status_code == 403
    assert client.delete(clip, headers=elsewhere).status_code == 403
    assert client.get(clip).status_code == 200
    assert len(outline.clips) == 1
    assert upload(client, headers={"Origin": "http://localhost"}).status_code == 201


def test_another_name_of_this_machine_is_refused(client):
    assert client.get("/", headers={"Host": "elsewhere.example"}).status_code == 400


@pytest.mark.parametrize("path", ["", "/now", "/pictures"])
def test_what_is_not_kept_is_said_to_be_gone(client, path):
    answer = client.get(f"/clips/guess{path}")
    assert answer.status_code == 404
    assert "no longer kept" in answer.json["error"]


def test_the_browser_is_told_to_fetch_nothing_from_elsewhere(client, clip):
    for path in ("/", "/static/main.js", clip, "/nothing"):
        headers = client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", OWN)
def test_scripts_and_styles_name_no_other_address(client, name):
    found = client.get(f"/static/{name}")
    kind = {".css": "text/css", ".js": "text/javascript"}[pathlib.Path(name).suffix]
    assert (found.status_code, found.mimetype) == (200, kind)
    assert (STATIC / name).read_bytes() == found.data
    assert b"http" not in found.data.replace(b"http://www.w3.org/2000/svg", b"")


def test_the_plotting_library_comes_with_its_licence(client):
    assert client.get("/static/uplot/uPlot.esm.js").data.startswith(b"/**\n* Copyright")
    assert client.get("/static/uplot/uPlot.min.css").mimetype == "text/css"
    assert "MIT License" in (STATIC / "uplot" / "LICENSE").read_text()


def test_the_page_names_no_other_address_and_has_nothing_inline(client):
    page = client.get("/").text
    for part in ("http", "<style", "style=", "onclick", "javascript:"):
        assert part not in page
    assert page.count("<script") == 1 and 'src="/static/main.js"></script>' in page


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/page.html", "/../application.py", "/static/../application.py", "/static/x.js"],
)
def test_there_is_nothing_else(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert json.loads(answer.data)["error"].startswith("error: ")
