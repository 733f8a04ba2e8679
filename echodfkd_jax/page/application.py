"""The page as a WSGI application. It knows nothing of networks: what answers a clip is handed in.

An uploaded clip lives in a temporary folder while it is answered; the answer's files are then read
into memory, and the folder is removed before the browser hears of them.
"""

import io
import pathlib
import re
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jinja2
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException, RequestEntityTooLarge
from werkzeug.routing import Map, Rule
from werkzeug.utils import redirect, secure_filename, send_file
from werkzeug.wrappers import Request, Response
from werkzeug.wsgi import get_input_stream

from echodfkd_jax.errors import UserError
from echodfkd_jax.page.kept import Answer, KeptAnswers

# Writes the files of a clip (first argument; the name of its results is the second) into a folder
# (third) and returns the content of its JSON; UserError where the clip cannot be read.
Predict = Callable[[pathlib.Path, str, pathlib.Path], Mapping[str, Any]]

_HERE = pathlib.Path(__file__).parent
_STATIC = {"page.css": "text/css", "page.js": "text/javascript"}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self' data:; media-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_CHUNK_BYTES = 2**20
# A refused upload is read to its end, or a browser would not show why; but not for ever.
_MAX_DISCARDED_CHUNKS = 10_000
_MAX_NAME = 100
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")


class Application:
    """Serves the page, takes clips, and keeps the latest answers in memory."""

    def __init__(
        self,
        predict: Predict,
        *,
        max_upload_mib: int,
        accepted: Sequence[str],
        notice: str,
        trusted_hosts: Sequence[str] = (),
    ) -> None:
        """Sets the page up.

        Args:
            predict: answers one clip; called for one clip at a time.
            max_upload_mib: larger files are refused while they arrive.
            accepted: suffixes of files that are offered first in the browser's dialogue.
            notice: a sentence shown on every page.
            trusted_hosts: names under which the page may be asked for; none: any. They keep other
                sites from reaching a local page under a name of their own.
        """
        self._predict = predict
        self._max_upload_mib = max_upload_mib
        self._trusted_hosts = list(trusted_hosts)
        self._kept = KeptAnswers()
        self._one_at_a_time = threading.Lock()
        templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # The space between number and unit does not break.
        templates.filters["number"] = lambda value, unit: (
            "unknown" if value is None else f"{value:.0f}\N{NO-BREAK SPACE}{unit}"
        )
        self._page = templates.get_template("page.html")
        self._always = {"accepted": accepted, "max_mib": max_upload_mib, "notice": notice}
        self._routes = Map(
            [
                Rule("/", endpoint=self._show_form, methods=["GET"]),
                Rule("/", endpoint=self._take_clip, methods=["POST"]),
                Rule("/answers/<kept>", endpoint=self._show_answer, methods=["GET"]),
                Rule("/answers/<kept>/<name>", endpoint=self._send_file, methods=["GET"]),
                Rule("/<any('page.css', 'page.js'):name>", endpoint=_send_static, methods=["GET"]),
            ]
        )

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        """Answers one request, as WSGI asks for it."""
        request = Request(environ)
        request.max_content_length = self._max_upload_mib * 2**20
        request.trusted_hosts = self._trusted_hosts or None
        try:
            _refuse_other_sites(request)
            endpoint, values = self._routes.bind_to_environ(environ).match()
            response = endpoint(request, **values)
        except RequestEntityTooLarge:
            _discard(environ)
            response = self._refuse(413, f"the file is larger than {self._max_upload_mib} MiB")
        except HTTPException as error:
            response = error.get_response(environ)
        response.headers.update(_HEADERS)
        return response(environ, start_response)

    def _show_form(self, request: Request) -> Response:
        return self._render(200)

    def _take_clip(self, request: Request) -> Response:
        upload = request.files.get("clip")
        if upload is None or not upload.filename:
            return self._refuse(400, "no file came; choose a clip")
        try:
            answer = self._answer(upload)
        except UserError as error:
            return self._refuse(422, str(error))
        return redirect(f"/answers/{self._kept.add(answer)}", 303)

    def _answer(self, upload: FileStorage) -> Answer:
        """Predicts a clip in a folder that is gone afterwards."""
        name, suffix = _plain_name(upload.filename or "")
        with tempfile.TemporaryDirectory(prefix="echodfkd_page_") as folder:
            clip, results = pathlib.Path(folder) / f"{name}{suffix}", pathlib.Path(folder) / "out"
            results.mkdir()
            upload.save(clip)
            upload.close()
            try:
                with self._one_at_a_time:
                    content = self._predict(clip, name, results)
            except UserError as error:
                # The folder is nothing to the reader; the file's own name is.
                raise UserError(str(error).replace(f"{clip.parent}/", "")) from error
            files = {path.name: path.read_bytes() for path in sorted(results.iterdir())}
        archive = f"{name}.zip"
        return Answer(
            content={**content, "source": clip.name},
            files={**files, archive: _zip(files)},
            video=f"{name}.mp4",
            curve=f"{name}.png",
            archive=archive,
        )

    def _show_answer(self, request: Request, kept: str) -> Response:
        answer = self._kept.get(kept)
        if answer is None:
            return self._refuse(404, "these results are no longer kept; choose the clip again")
        return self._render(200, answer=answer, kept=kept)

    def _send_file(self, request: Request, kept: str, name: str) -> Response:
        answer = self._kept.get(kept)
        if answer is None or name not in answer.files:
            return self._refuse(404, "these results are no longer kept; choose the clip again")
        return send_file(
            io.BytesIO(answer.files[name]),
            request.environ,
            download_name=name,
            as_attachment=name == answer.archive,
            conditional=True,  # Browsers ask for parts of a video.
            etag=False,
        )

    def _refuse(self, status: int, reason: str) -> Response:
        return self._render(status, refusal=f"error: {reason}")

    def _render(self, status: int, **values: Any) -> Response:
        values = {"answer": None, "kept": "", "refusal": "", **values}
        return Response(self._page.render(self._always | values), status, mimetype="text/html")


def _refuse_other_sites(request: Request) -> None:
    """Pages of other sites may neither send clips here nor look under another name.

    Raises:
        HTTPException: the host is not trusted, or a form of another site was sent.
    """
    host = request.host  # Raises when it is not among the trusted ones.
    origin = request.headers.get("Origin")
    if request.method == "POST" and origin and origin.partition("://")[2] != host:
        raise Forbidden("this page takes clips from its own form only")


def _discard(environ: dict[str, Any]) -> None:
    try:
        stream = get_input_stream(environ)
        for _ in range(_MAX_DISCARDED_CHUNKS):
            if not stream.read(_CHUNK_BYTES):
                return
    except (OSError, BadRequest):  # The browser has left.
        return


def _send_static(request: Request, name: str) -> Response:
    return Response((_HERE / "static" / name).read_bytes(), mimetype=_STATIC[name])


def _plain_name(filename: str) -> tuple[str, str]:
    """A file's name and suffix as they may be used here, whatever the browser says."""
    given = pathlib.PurePosixPath(filename)
    suffix = given.suffix if _SUFFIX.fullmatch(given.suffix) else ""
    return secure_filename(given.name.removesuffix(suffix))[:_MAX_NAME] or "clip", suffix


def _zip(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # They are compressed.
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()
