"""On what an evaluation ran: the code's commit, and the machine."""

import pathlib
import platform
import subprocess

ROOT = pathlib.Path(__file__).parents[2]


def commit() -> str:
    """The commit of the project's folder, with "+changes" if files differ; "" without git."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+changes" if _git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def environment() -> dict[str, str]:
    """Python, JAX and the device."""
    import jax

    device = jax.devices()[0]
    return {
        "python": platform.python_version(),
        "jax": jax.__version__,
        "device": f"{len(jax.devices())} x {device.device_kind}",
    }


def _git(*args: str) -> str:
    command = ["git", "-C", str(ROOT), *args]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()
