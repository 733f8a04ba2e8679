"""The page in a real browser: a clip comes back outlined, bad files are refused in words."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import zipfile

import jax
import numpy as np
import pytest

from configs import synthetic
from echodfkd_jax.clips import video
from echodfkd_jax.errors import UserError
from echodfkd_jax.jobs import serve
from echodfkd_jax.synthesis import make_clip

ROOT = pathlib.Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.mark.parametrize(
    ("field", "value"), [("port", -1), ("port", 65536), ("max_upload_mib", 0), ("host", "no host")]
)
def test_impossible_settings(field, value):
    config = synthetic.get_config("smoke")
    config.serve[field] = value
    with pytest.raises(UserError, match=rf"config\.serve\.{field}="):
        serve.run(config)


@pytest.fixture(scope="module")
def frames():
    """A clip with a whole beat."""
    make = jax.jit(lambda key: make_clip(key, num_frames=64).frames)
    return np.asarray(make(jax.random.key(2)))


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The real command on a free port, with the shipped student."""
    workdir = tmp_path_factory.mktemp("serve")
    (workdir / "tmp").mkdir()
    arguments = ("--config=configs/synthetic.py", "--stage=serve", "--config.serve.port=0")
    server = subprocess.Popen(
        [sys.executable, "main.py", *arguments, f"--config.workdir={workdir / 'run'}"],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "TMPDIR": str(workdir / "tmp")},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        lines = iter(server.stdout.readline, "")
        yield next(re.search(r"http://\S+", line)[0] for line in lines if "page:" in line)
        assert list((workdir / "tmp").iterdir()) == []
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0


@pytest.fixture
def page(address):
    api = pytest.importorskip("playwright.sync_api")
    if BROWSER is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.set_default_timeout(120_000)
        page.elsewhere = []
        page.on(
            "request",
            lambda request: (
                request.url.startswith((address, "data:")) or page.elsewhere.append(request.url)
            ),
        )
        page.goto(address)
        yield page
        assert page.elsewhere == []
        browser.close()


@pytest.mark.slow
def test_a_clip_comes_back_outlined(page, frames, tmp_path):
    video.write_avi(tmp_path / "my clip.avi", frames, 50.0)
    page.set_input_files("#clip", tmp_path / "my clip.avi")
    loop = page.locator("video")
    loop.wait_for()
    # Not `wait_for_function`: polling evaluates a string, which the page's own policy forbids.
    loop.evaluate(
        """v => new Promise((done, fail) => {
          setTimeout(fail, 30_000, new Error('the video does not play'));
          if (v.currentTime > 0) done();
          v.addEventListener('timeupdate', () => v.currentTime > 0 && done());
        })"""
    )
    assert loop.evaluate("v => [v.videoWidth, v.videoHeight, v.error]") == [336, 336, None]
    # The outline is coloured, all else is grey.
    coloured = loop.evaluate(
        """v => {
          const canvas = document.createElement('canvas');
          [canvas.width, canvas.height] = [v.videoWidth, v.videoHeight];
          const context = canvas.getContext('2d');
          context.drawImage(v, 0, 0);
          const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
          let count = 0;
          for (let i = 0; i < data.length; i += 4) {
            const [red, green, blue] = data.slice(i, i + 3);
            count += Math.max(red, green, blue) - Math.min(red, green, blue) > 20;
          }
          return count;
        }"""
    )
    assert coloured > 100
    curve = page.locator(".card img")
    assert curve.evaluate("image => image.complete && image.naturalWidth") > 300
    assert re.fullmatch(r"\d+\s%", page.locator("#ef_disks").inner_text())
    assert page.locator("#beats tbody tr").count() == int(page.locator("#num_beats").inner_text())
    assert "not a medical device" in page.locator("body").inner_text()
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    with page.expect_download() as download:
        page.locator("a.download").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert "my_clip.seg.npz" in archive.namelist()


@pytest.mark.slow
def test_a_clip_that_is_dropped_is_taken(page, frames, tmp_path):
    video.write_avi(tmp_path / "a.avi", frames, 50.0)
    dropped = page.evaluate_handle(
        """bytes => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], 'dropped.avi'));
          return transfer;
        }""",
        list((tmp_path / "a.avi").read_bytes()),
    )
    page.dispatch_event("form", "drop", {"dataTransfer": dropped})
    page.locator("video").wait_for()
    assert page.locator("h2").inner_text() == "dropped.avi"


@pytest.mark.slow
def test_a_text_file_is_refused_as_on_the_command_line(page, tmp_path):
    (tmp_path / "notes.txt").write_text("no clip")
    page.set_input_files("#clip", tmp_path / "notes.txt")
    refusal = page.locator(".refusal")
    refusal.wait_for()
    assert refusal.inner_text().startswith("error: notes.txt: files of kind '.txt' are not read")
    assert page.locator("video").count() == 0


@pytest.mark.slow
def test_a_file_of_a_gigabyte_is_refused(page, tmp_path):
    with (tmp_path / "long.avi").open("wb") as file:
        file.truncate(2**30)
    page.set_input_files("#clip", tmp_path / "long.avi")
    refusal = page.locator(".refusal")
    refusal.wait_for()
    assert refusal.inner_text() == "error: the file is larger than 256 MiB"
