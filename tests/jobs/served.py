"""The page in a real browser: the real command on a free port, with the small shipped student."""

import contextlib
import math
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from echodfkd_jax.clips import video

ROOT = pathlib.Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
NAMES = ("first clip.avi", "second.avi", "third.avi")
TIMEOUT_MS = 180_000  # Machines of CI are small and do other things besides.


def write_clips(folder: pathlib.Path) -> list[pathlib.Path]:
    """Three clips in which the student sees two whole beats."""
    paths = [folder / name for name in NAMES]
    for path, period in zip(paths, (26, 28, 30)):
        video.write_avi(path, _beating_wall(64, period), 50.0)
    return paths


def _beating_wall(num_frames: int, period: int) -> np.ndarray:
    """A bright wall around a dark ventricle: what the generator draws takes minutes to compile."""
    y, x = np.mgrid[:112, :112]
    grain = np.random.default_rng(0).uniform(0.6, 1.2, x.shape)
    outside = np.abs(x - 56) > 0.85 * (y + 4)
    frames = []
    for frame in range(num_frames):
        swing = 4 * math.cos(2 * math.pi * (frame - 4) / period)
        across, along = (x - 63.5 + 0.15 * y) / (17 + swing), (y - 48) / (30 + swing)
        wall = np.exp(-(((np.hypot(across, along) - 1.25) / 0.18) ** 2))
        frames.append(np.where(outside, 0, np.clip(18 + 170 * wall * grain, 0, 255)))
    return np.array(frames).astype(np.uint8)


@contextlib.contextmanager
def running(workdir: pathlib.Path) -> Iterator[str]:
    """The page's address while the command runs; afterwards nothing of it is left."""
    (workdir / "tmp").mkdir()
    arguments = ("--config=configs/synthetic.py", "--stage=serve", "--config.serve.port=0")
    arguments += ("--config.student.weights=small", "--config.predict.mirrored=no")
    arguments += (f"--config.workdir={workdir / 'run'}",)
    with subprocess.Popen(
        [sys.executable, "main.py", *arguments],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "TMPDIR": str(workdir / "tmp")},
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            lines = iter(server.stdout.readline, "")
            yield next(re.search(r"http://\S+", line)[0] for line in lines if "page:" in line)
            assert list((workdir / "tmp").iterdir()) == []
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=60) == 0


@contextlib.contextmanager
def shown(address: str, **options: Any) -> Iterator[Any]:
    """The page in a browser; it may fetch nothing from elsewhere and say nothing on its console."""
    api = pytest.importorskip("playwright.sync_api")
    if BROWSER is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    api.expect.set_options(timeout=TIMEOUT_MS)
    options = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", **options}
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_context(**options).new_page()
        page.set_default_timeout(TIMEOUT_MS)
        complaints: list[str] = []
        # A refusal of the server is told on the page; the browser notes it as well.
        page.on(
            "console",
            lambda message: "Failed to load" in message.text or complaints.append(message.text),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: (
                request.url.startswith((address, "data:")) or complaints.append(request.url)
            ),
        )
        page.goto(address)
        yield page
        browser.close()
        assert complaints == []


def drop(page: Any, paths: list[pathlib.Path]) -> None:
    """Drops files on the page."""
    dropped = page.evaluate_handle(
        """files => {
          const transfer = new DataTransfer();
          for (const [name, bytes] of files)
            transfer.items.add(new File([new Uint8Array(bytes)], name));
          return transfer;
        }""",
        [[path.name, list(path.read_bytes())] for path in paths],
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})


def wait_for_clips(page: Any, count: int) -> None:
    """Until so many clips are outlined and the first of them is shown."""
    page.locator("#clips button.name").nth(count - 1).wait_for()
    page.locator("#values").wait_for()


def percent(page: Any) -> int:
    """The ejection fraction that is shown."""
    return int(re.fullmatch(r"(\d+)\s%", page.locator("#ef_disks").inner_text())[1])


def middle(locator: Any) -> tuple[float, float]:
    """Of an element on the screen."""
    locator.scroll_into_view_if_needed()
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drawn(page: Any) -> list[int]:
    """Width, height and brightest grey of the picture."""
    return page.locator("#picture").evaluate(
        """canvas => {
          const {width, height} = canvas;
          const {data} = canvas.getContext('2d').getImageData(0, 0, width, height);
          const red = data.filter((_, index) => index % 4 === 0);
          return [width, height, Math.max(...red)];
        }"""
    )
