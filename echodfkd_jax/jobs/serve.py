"""Stage `serve`: a page in the browser; clips are dropped, outlined, measured and corrected.

What is done with a clip is what `predict` does, with the settings of `config.predict`. Nothing that
comes in or goes out stays on disk. The page is for one person on one machine: without a password,
one clip at a time, and for this machine alone unless `config.serve.host` says otherwise.
"""

import logging
import pathlib
import signal
import socket

import ml_collections
import numpy as np
from werkzeug.serving import make_server

from echodfkd_jax.clips import dicom, inputs, video
from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.viewers import formats
from echodfkd_jax.networks.inference import predict_clip
from echodfkd_jax.page import Application
from echodfkd_jax.prediction.clip import describe
from echodfkd_jax.prediction.outlining import outline as outline_clips
from echodfkd_jax.prediction.outlining import read
from echodfkd_jax.prediction.workplace import WorkClip, write_corrections
from echodfkd_jax.reporting.predictions import DISCLAIMER
from echodfkd_jax.runs.student import choose_student
from echodfkd_jax.settings import PredictSettings, ServeSettings, StudentSettings

# Under these names this machine reaches itself, and nobody else does.
_LOCAL_HOSTS = ("127.0.0.1", "localhost")


def run(config: ml_collections.ConfigDict) -> None:
    """Serves the page until the program is stopped.

    Raises:
        UserError: a setting does not fit, there is no student, or the port is taken.
    """
    settings, how = ServeSettings.of(config.serve), PredictSettings.of(config.predict)
    which = StudentSettings.of(config.student)
    student = choose_student(config.workdir, which)

    written_as = formats.offered(how.formats)

    def outline(path: pathlib.Path, name: str) -> WorkClip:
        (found,) = outline_clips([read(path, how.crop)], student, how, refined=which.refine)
        content = describe(found, name, path.name, student.metadata, how.crop)
        return WorkClip(found, content, path, written_as)

    listening = _listen(settings)
    # Compiled before the first visitor waits for it.
    predict_clip(student, np.zeros((1, inputs.SIDE_PX, inputs.SIDE_PX), np.uint8))
    page = Application(
        outline,
        write_corrections,
        max_upload_mib=settings.max_upload_mib,
        accepted=(*video.SUFFIXES, *dicom.SUFFIXES),
        notice=DISCLAIMER,
        trusted_hosts=_LOCAL_HOSTS if settings.host in _LOCAL_HOSTS else (),
    )
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # Not a line for every request.
    # A stop from outside is an interruption like Ctrl-C: temporary files are removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with listening:
        host, port = listening.getsockname()[:2]
        server = make_server(host, port, page, threaded=True, fd=listening.fileno())
        print(f"student: {student.source} ({student.fingerprint})")
        if settings.host not in _LOCAL_HOSTS:
            print("  note: whoever reaches this machine can use the page; it has no password")
        print(f"  page: http://{host}:{port}/ (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped")
        finally:
            server.server_close()


def _listen(settings: ServeSettings) -> socket.socket:
    try:
        return socket.create_server((settings.host, settings.port), reuse_port=False)
    except (OSError, OverflowError) as error:
        where = f"config.serve.host={settings.host}, config.serve.port={settings.port}"
        raise UserError(f"{where}: {error}; set another port, or 0 for any") from error
