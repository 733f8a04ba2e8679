"""What can be downloaded: files that are written into a folder for a moment, as one ZIP file."""

import io
import pathlib
import tempfile
import zipfile
from collections.abc import Callable, Sequence


def zip_of(write: Callable[[pathlib.Path], object]) -> bytes:
    """What `write` puts into an empty folder, as a ZIP file; the folder is removed.

    Args:
        write: is called with the folder.
    """
    with tempfile.TemporaryDirectory(prefix="echodfkd_page_") as name:
        folder, buffer = pathlib.Path(name), io.BytesIO()
        write(folder)
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # They are compressed.
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                archive.write(path, path.relative_to(folder))
        return buffer.getvalue()


def different(names: Sequence[str]) -> list[str]:
    """The same names; those that are there already get numbers."""
    found: list[str] = []
    for name in names:
        number, candidate = 1, name
        while candidate in found:
            number += 1
            candidate = f"{name}_{number}"
        found.append(candidate)
    return found
