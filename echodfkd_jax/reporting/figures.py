"""The figures of a page: in it, in two styles, and as files beside it."""

import pathlib
from collections.abc import Callable
from typing import Any

from echodfkd_jax import disk
from echodfkd_jax.reporting import html, plots


class FigureFolder:
    """Draws figures in both styles and keeps the light one as a file."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        disk.make_folder(folder)
        with disk.writing(folder):
            for path in folder.glob("*.png"):  # Of clips that are no longer shown.
                path.unlink()

    def figure(
        self, name: str, alt: str, draw: Callable[..., bytes], *args: Any, **options: Any
    ) -> html.Figure:
        """Calls `draw(*args, style=..., **options)` for both styles."""
        light, dark = (draw(*args, **options, style=style) for style in plots.STYLES)
        self.file(name, light)
        return html.Figure(light, dark, alt)

    def file(self, name: str, content: bytes) -> None:
        """Writes one file of the report's folder."""
        disk.write_bytes(self._folder / name, content)
