"""The auxiliary judge: an image-text model that scores masks and phases without human labels."""

import importlib
from typing import Any

from echodfkd_jax.echoclip.judge import Judge
from echodfkd_jax.errors import UserError

# Name -> module and factory, imported only when asked for.
_FACTORIES: dict[str, tuple[str, str]] = {
    "echoclip": ("echodfkd_jax.echoclip.open_clip_judge", "load_echoclip"),
    "open_clip": ("echodfkd_jax.echoclip.open_clip_judge", "load_open_clip"),
}

__all__ = ["Judge", "load_judge"]


def load_judge(name: str = "echoclip", **options: Any) -> Judge:
    """Makes a judge.

    Args:
        name: "echoclip"; "open_clip", any model of that library with a ConvNeXt image tower and
            CLIP's text tower; or "package.module:Class", a class of your own with the methods and
            attributes of `Judge`.
        **options: for "echoclip" and "open_clip": `weights` (a local `open_clip_pytorch_model.bin`
            or `.safetensors`; for "echoclip" empty to fetch it from the Hugging Face hub), `dtype`
            ("float32" or "bfloat16"), `batch_size`. For a class: its constructor's.

    Raises:
        UserError: an unknown name, weights that are missing or do not fit, or a class that is no
            judge.
    """
    if name in _FACTORIES:
        module, factory = _FACTORIES[name]
        return getattr(importlib.import_module(module), factory)(**options)
    module, separator, attribute = name.partition(":")
    if not separator:
        raise UserError(
            f"judge {name!r} is unknown; use one of {', '.join(_FACTORIES)}, or "
            "'package.module:Class' for a class of your own"
        )
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"judge {name!r} cannot be imported ({error}); expected 'package.module:Class' on "
            "Python's path"
        ) from error
    judge = factory(**options)
    if not isinstance(judge, Judge):
        raise UserError(
            f"judge {name!r} is no judge; it needs the attributes name and fingerprint and the "
            "methods embed_images and embed_texts"
        )
    return judge
