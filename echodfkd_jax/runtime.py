"""How JAX is set up before it starts, and what is said when it does not start."""

import os
import pathlib

from echodfkd_jax.errors import UserError

# Compiled programs are kept between runs: the second start is faster by the compilation.
COMPILATION_CACHE = pathlib.Path.home() / ".cache" / "echodfkd_jax" / "xla"
# XLA's newer convolutions for CPUs (YNN) use one core where Eigen's use all of them. On two cores
# with jax 0.10.2: a 112x112 convolution of 24 to 48 channels 1.94 ms against 1.18 ms, a
# training step of the 3x3 student 2.39 s against 1.86 s, a whole clip 1.20 s against 0.78 s.
# YNN keeps the sums: Eigen adds one number after another, and batch normalisation loses a digit.
CPU_CONVOLUTIONS = "--xla_cpu_experimental_ynn_fusion_type=reduce"
# Of errors that JAX raises about a device.
_DEVICE_TEXTS = ("Unable to initialize backend", "Unknown backend", "No visible", "CUDA_ERROR")
_ON_THE_CPU = "to run on the CPU instead, set JAX_PLATFORMS=cpu"


def start_device() -> None:
    """Has JAX start the device that it will compute on.

    Raises:
        UserError: it is missing or busy; the backend's reason is in the message.
    """
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        asked = os.environ.get("JAX_PLATFORMS", "")
        wanted = f" (JAX_PLATFORMS={asked})" if asked else ""
        # Where nothing is installed for the platform, JAX says nothing.
        reason = " ".join(str(error).split()) or "nothing is installed for this platform"
        raise UserError(
            f"JAX finds no device to compute on{wanted}: {reason}; {_ON_THE_CPU}"
        ) from error


def device_error(error: BaseException) -> str:
    """One line about an error of the device; empty where it is none."""
    import jax

    text = " ".join(str(error).split())
    if "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower():
        return (
            f"the device has no memory left: {text[:300]}; set a smaller batch, or end what else "
            f"runs there; {_ON_THE_CPU}"
        )
    known = isinstance(error, jax.errors.JaxRuntimeError) and "INTERNAL" not in text
    if known or any(part in text for part in _DEVICE_TEXTS):
        return f"the device failed: {text[:500]}; {_ON_THE_CPU}"
    return ""


def configure() -> None:
    """Sets environment variables that JAX and XLA read at their start; a user's own are kept."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # XLA's own log.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(COMPILATION_CACHE))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
    flags = os.environ.get("XLA_FLAGS", "")
    if "ynn_fusion_type" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {CPU_CONVOLUTIONS}".strip()
