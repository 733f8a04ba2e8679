"""Teachers by name; a new one is one file and one line here."""

import inspect
from typing import Any

from echodfkd_jax import buckets, seams
from echodfkd_jax.errors import UserError
from echodfkd_jax.teachers.base import Teacher

TEACHERS = {
    "unet": "echodfkd_jax.teachers.unet:UNetTeacher",
    "deeplabv3": "echodfkd_jax.teachers.deeplabv3:load",
    "student": "echodfkd_jax.teachers.student_teacher:load",
    "onnx": "echodfkd_jax.teachers.onnx_teacher:load",
    "precomputed": "echodfkd_jax.teachers.precomputed:load",
    "ensemble": "echodfkd_jax.teachers.ensemble:load",
}

# In the place of a teacher's name: clips that are learnt from their own tracings need none.
NO_TEACHER = "none"

__all__ = ["NO_TEACHER", "Teacher", "load_teacher"]


def load_teacher(name: str, **options: Any) -> Teacher:
    """Makes a teacher.

    Args:
        name: "unet" (shipped with the project), "deeplabv3" (the published one), "student" (one
            trained before), "onnx" (any network in such a file), "precomputed" (masks in files) or
            "ensemble" (several of them); or "package.module:Name" of your own.
        **options: the teacher's own, such as `weights`, where its weights are; see the `load` or
            the class of its module. Empty text counts as not given.

    Raises:
        UserError: an unknown name or option, or weights that are missing or do not fit.
    """
    if name == NO_TEACHER:
        raise UserError(
            f"config.teacher.name={name!r}: a teacher is needed here; use one of "
            f"{', '.join(TEACHERS)}, or 'package.module:Name' of your own"
        )
    factory = seams.find("config.teacher.name", name, TEACHERS)
    given = {option: value for option, value in options.items() if value != ""}
    if isinstance(given.get("weights"), str):
        given["weights"] = str(buckets.local_copy(given["weights"]))
    known = inspect.signature(factory).parameters
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        raise UserError(
            f"config.teacher.{unknown[0]} is no option of teacher {name!r}; it has {sorted(known)}"
        )
    return factory(**given)
