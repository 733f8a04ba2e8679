"""Data-free knowledge distillation for cardiac ultrasound segmentation, in JAX.

What is listed in `__all__` is the public API; it is loaded when it is first used, so that importing
the package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from echodfkd_jax.networks.inference import predict_clip
    from echodfkd_jax.prediction.api import predict
    from echodfkd_jax.runs.student import load_student
    from echodfkd_jax.synthesis import make_clip
    from echodfkd_jax.teachers import load_teacher

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "load_student",
    "load_teacher",
    "make_clip",
    "predict",
    "predict_clip",
]

_MODULES = {
    "load_student": "runs.student",
    "load_teacher": "teachers",
    "make_clip": "synthesis",
    "predict": "prediction.api",
    "predict_clip": "networks.inference",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
