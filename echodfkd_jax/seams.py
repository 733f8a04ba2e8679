"""What a configuration names: one of the project's own, or `package.module:Name` of anybody's."""

import importlib
from collections.abc import Mapping
from typing import Any

from echodfkd_jax.errors import UserError


def find(field: str, name: str, own: Mapping[str, str]) -> Any:
    """The class or function that a field names.

    Args:
        field: of the configuration, such as "config.train.loss"; for messages.
        name: one of `own`, or `package.module:Name` on Python's path.
        own: name -> where it is, as `package.module:Name`; imported when asked for.

    Raises:
        UserError: an unknown name, or nothing can be imported under it.
    """
    module, separator, attribute = own.get(name, name).partition(":")
    if not separator:
        raise UserError(
            f"{field}={name!r} is unknown; use one of {', '.join(sorted(own))}, or "
            "'package.module:Name' of your own"
        )
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        if name in own:
            raise
        raise UserError(
            f"{field}={name!r} cannot be imported ({error}); expected 'package.module:Name' on "
            "Python's path"
        ) from error
