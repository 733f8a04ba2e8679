"""The figures of a page: in it, in two styles, and as files beside it."""

from collections.abc import Callable
from typing import Any

from etils import epath

from echodfkd_jax import files
from echodfkd_jax.disk import writing
from echodfkd_jax.reporting import html, plots


class FigureFolder:
    """Draws figures in both styles and keeps the light one as a file."""

    def __init__(self, folder: epath.Path) -> None:
        self._folder = folder
        files.make_folder(folder)
        with writing(folder):
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
        files.write_bytes(self._folder / name, content)
