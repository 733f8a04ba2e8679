"""The page as a WSGI application. It knows nothing of networks: what outlines a clip is handed in.

An uploaded clip lies in a temporary folder while it is outlined; the folder is removed before the
browser hears of it. What is found is kept in memory, and so is what somebody corrects.
"""

import functools
import json
import pathlib
import re
import struct
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any

import jinja2
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException, RequestEntityTooLarge
from werkzeug.routing import Map, Rule
from werkzeug.utils import secure_filename
from werkzeug.wrappers import Request, Response
from werkzeug.wsgi import get_input_stream

from echodfkd_jax.errors import UserError
from echodfkd_jax.page import archives
from echodfkd_jax.page.kept import Kept, KeptClips
from echodfkd_jax.page.work import WorkClip

# Outlines the clip of a file (first argument); the second is the name of its results. UserError
# where it cannot be read.
Outline = Callable[[pathlib.Path, str], WorkClip]
# Writes the corrections of clips (second argument: name, clip, corrections) into a folder.
WriteCorrections = Callable[[pathlib.Path, Sequence[tuple[str, Any, Any]]], None]

_HERE = pathlib.Path(__file__).parent
_TYPES = {".css": "text/css", ".js": "text/javascript"}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; "
    "base-uri 'none'; require-trusted-types-for 'script'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_GONE = "this clip is no longer kept; choose it again"
_CHUNK_BYTES = 2**20
# A refused upload is read to its end, or a browser would not show why; but not for ever.
_MAX_DISCARDED_CHUNKS = 10_000
# Of corrections: some hundred outlines.
_MAX_JSON_BYTES = 2**21
_MAX_NAME = 100
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")


class _Request(Request):
    """A request that knows the temporary files of its uploads, also of those it gave up reading."""

    def __init__(self, environ: dict[str, Any]) -> None:
        super().__init__(environ)
        self._streams: list[IO[bytes]] = []

    def _get_file_stream(self, *args: Any, **kwargs: Any) -> IO[bytes]:
        self._streams.append(super()._get_file_stream(*args, **kwargs))
        return self._streams[-1]

    def close(self) -> None:
        """Closes them, which removes them."""
        for stream in self._streams:
            stream.close()


class Application:
    """Serves the page, takes clips and corrections, and keeps both in memory."""

    def __init__(
        self,
        outline: Outline,
        write_corrections: WriteCorrections,
        *,
        max_upload_mib: int,
        accepted: Sequence[str],
        notice: str,
        trusted_hosts: Sequence[str] = (),
    ) -> None:
        """Sets the page up.

        Args:
            outline: outlines one clip; called for one clip at a time.
            write_corrections: writes what is downloaded as corrections.
            max_upload_mib: larger files are refused while they arrive.
            accepted: suffixes of files that are offered first in the browser's dialogue.
            notice: a sentence shown beside every number.
            trusted_hosts: names under which the page may be asked for; none: any. They keep other
                sites from reaching a local page under a name of their own.
        """
        self._outline = outline
        self._write_corrections = write_corrections
        self._max_upload_mib = max_upload_mib
        self._trusted_hosts = list(trusted_hosts)
        self._kept = KeptClips()
        self._one_at_a_time = threading.Lock()
        templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        page = templates.get_template("page.html")
        self._page = page.render(accepted=accepted, max_mib=max_upload_mib, notice=notice)
        self._routes = Map(
            [
                Rule("/", endpoint=self._show_page, methods=["GET"]),
                Rule("/static/<path:name>", endpoint=_send_static, methods=["GET"]),
                Rule("/clips", endpoint=self._take_clip, methods=["POST"]),
                Rule("/clips/<name>", endpoint=self._remove, methods=["DELETE"]),
                *(
                    Rule(f"/clips/<name>{path}", endpoint=self._of_clip(answer), methods=[method])
                    for method, path, answer in (
                        ("GET", "", self._open),
                        ("GET", "/now", self._now),
                        ("GET", "/pictures", _pictures),
                        ("POST", "/measure", self._measure),
                        ("POST", "/corrections", self._correct),
                        ("POST", "/undo", self._undo),
                        ("POST", "/redo", self._redo),
                    )
                ),
                Rule("/results.zip", endpoint=self._send_results, methods=["GET"]),
                Rule("/corrections.zip", endpoint=self._send_corrections, methods=["GET"]),
            ]
        )

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        """Answers one request, as WSGI asks for it."""
        request = _Request(environ)
        uploads = request.path == "/clips"
        request.max_content_length = self._max_upload_mib * 2**20 if uploads else _MAX_JSON_BYTES
        request.trusted_hosts = self._trusted_hosts or None
        try:
            _refuse_other_sites(request)
            endpoint, values = self._routes.bind_to_environ(environ).match()
            response = endpoint(request, **values)
        except RequestEntityTooLarge:
            _discard(environ)
            limit = f"{request.max_content_length // 2**20} MiB"
            response = _refuse(
                413, f"the {'file' if uploads else 'correction'} is larger than {limit}"
            )
        except UserError as error:
            response = _refuse(422, str(error))
        except HTTPException as error:
            response = error.get_response(environ)
            if (error.code or 500) >= 400:
                response = _refuse(error.code or 500, error.description or error.name)
        finally:
            request.close()
        response.headers.update(_HEADERS)
        return response(environ, start_response)

    def _show_page(self, request: Request) -> Response:
        return Response(self._page, mimetype="text/html")

    def _take_clip(self, request: Request) -> Response:
        upload = request.files.get("clip")
        if upload is None or not upload.filename:
            return _refuse(400, "no file came; choose a clip")
        clip, source = self._outlined(upload)
        name = self._kept.add(clip, source)
        kept = self._kept.get(name)
        assert kept is not None  # It has just been put there.
        return _json({"id": name, **_now(kept)}, 201)

    def _outlined(self, upload: FileStorage) -> tuple[WorkClip, str]:
        """Outlines a clip in a folder that is gone afterwards."""
        name, suffix = _plain_name(upload.filename or "")
        with tempfile.TemporaryDirectory(prefix="echodfkd_page_") as folder:
            path = pathlib.Path(folder) / f"{name}{suffix}"
            upload.save(path)
            upload.close()
            try:
                with self._one_at_a_time:
                    return self._outline(path, name), path.name
            except UserError as error:
                # The folder is nothing to the reader; the file's own name is.
                raise UserError(str(error).replace(f"{path.parent}/", "")) from error

    def _of_clip(self, answer: Callable[[Kept, Request], Response]) -> Callable[..., Response]:
        """An endpoint that finds its clip first."""

        def endpoint(request: Request, name: str) -> Response:
            kept = self._kept.get(name)
            return _refuse(404, _GONE) if kept is None else answer(kept, request)

        return endpoint

    def _open(self, kept: Kept, request: Request) -> Response:
        return _json({**kept.clip.opened(), **_now(kept)})

    def _now(self, kept: Kept, request: Request) -> Response:
        return _json(_now(kept))

    def _measure(self, kept: Kept, request: Request) -> Response:
        return _json({**_now(kept), **kept.clip.measured(_sent(request))})

    def _correct(self, kept: Kept, request: Request) -> Response:
        measured = kept.clip.measured(_sent(request))
        with kept.lock:
            kept.history.keep(measured["corrections"])
        return _json(_now(kept))

    def _undo(self, kept: Kept, request: Request) -> Response:
        with kept.lock:
            kept.history.undo()
        return _json(_now(kept))

    def _redo(self, kept: Kept, request: Request) -> Response:
        with kept.lock:
            kept.history.redo()
        return _json(_now(kept))

    def _remove(self, request: Request, name: str) -> Response:
        self._kept.remove(name)
        return Response(status=204)

    def _send_results(self, request: Request) -> Response:
        named, form = self._asked_for(request), request.args.get("as", "")

        def write(folder: pathlib.Path) -> None:
            for name, kept in named:
                kept.clip.write_results(kept.history.now, folder, name, form)

        title = (named[0][0] if len(named) == 1 else "results") + f".{form}" * bool(form)
        with self._one_at_a_time:  # Loops and plots are as much work as outlining.
            return _download(f"{title}.zip", archives.zip_of(write))

    def _send_corrections(self, request: Request) -> Response:
        named = [
            (name, kept.clip, kept.history.now)
            for name, kept in self._asked_for(request)
            if kept.history.now is not None
        ]
        if not named:
            return _refuse(409, "nothing is corrected yet")
        content = archives.zip_of(lambda folder: self._write_corrections(folder, named))
        return _download("corrections.zip", content)

    def _asked_for(self, request: Request) -> list[tuple[str, Kept]]:
        """The clips of `?clips=a,b` with names for their files."""
        found = [self._kept.get(name) for name in request.args.get("clips", "").split(",")]
        kept = [clip for clip in found if clip is not None]
        if not kept or len(kept) < len(found):
            raise UserError(_GONE)
        return list(zip(archives.different([one.clip.name for one in kept]), kept))


def _now(kept: Kept) -> dict[str, Any]:
    """JSON of a clip as it is corrected."""
    history = kept.history
    return {
        "name": kept.clip.name,
        "source": kept.source,
        "can_undo": history.can_undo,
        "can_redo": history.can_redo,
        "corrected": history.now is not None,
        **kept.clip.measured(history.now),
    }


def _pictures(kept: Kept, request: Request) -> Response:
    """All frames one after the other, each behind its number of bytes (32 bits, big-endian)."""
    pictures = kept.clip.pictures()
    content = b"".join(struct.pack(">I", len(picture)) + picture for picture in pictures)
    return Response(content, mimetype="application/octet-stream")


def _sent(request: Request) -> Any:
    if request.mimetype != "application/json":
        raise UserError("a correction is sent as application/json")
    try:
        return json.loads(request.get_data())
    except (ValueError, RecursionError) as error:
        raise UserError("the correction is no JSON") from error


def _json(content: Any, status: int = 200) -> Response:
    text = json.dumps(content, allow_nan=False)
    return Response(text, status, mimetype="application/json")


def _refuse(status: int, reason: str) -> Response:
    return _json({"error": f"error: {reason}"}, status)


def _download(name: str, content: bytes) -> Response:
    response = Response(content, mimetype="application/zip")
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response


def _refuse_other_sites(request: Request) -> None:
    """Pages of other sites may neither send anything here nor look under another name.

    Raises:
        HTTPException: the host is not trusted, or another site's page asks.
    """
    host = request.host  # Raises when it is not among the trusted ones.
    origin = request.headers.get("Origin")
    if request.method != "GET" and origin and origin.partition("://")[2] != host:
        raise Forbidden("this page takes clips and corrections from itself only")


def _discard(environ: dict[str, Any]) -> None:
    try:
        stream = get_input_stream(environ)
        for _ in range(_MAX_DISCARDED_CHUNKS):
            if not stream.read(_CHUNK_BYTES):
                return
    except (OSError, BadRequest):  # The browser has left.
        return


@functools.cache
def _static() -> dict[str, pathlib.Path]:
    """What the browser may have, by name."""
    root = _HERE / "static"
    found = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    return {name: path for name, path in found.items() if path.suffix in _TYPES}


def _send_static(request: Request, name: str) -> Response:
    path = _static().get(name)
    if path is None:
        return _refuse(404, f"there is no {name[:_MAX_NAME]}")
    return Response(path.read_bytes(), mimetype=_TYPES[path.suffix])


def _plain_name(filename: str) -> tuple[str, str]:
    """A file's name and suffix as they may be used here, whatever the browser says."""
    given = pathlib.PurePosixPath(filename)
    suffix = given.suffix if _SUFFIX.fullmatch(given.suffix) else ""
    return secure_filename(given.name.removesuffix(suffix))[:_MAX_NAME] or "clip", suffix
