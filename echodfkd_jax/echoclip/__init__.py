"""The auxiliary judge: an image-text model that scores masks and phases without human labels."""

from typing import Any

from echodfkd_jax import seams
from echodfkd_jax.echoclip.judge import Judge
from echodfkd_jax.errors import UserError

JUDGES = {
    "echoclip": "echodfkd_jax.echoclip.open_clip_judge:load_echoclip",
    "open_clip": "echodfkd_jax.echoclip.open_clip_judge:load_open_clip",
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
    factory = seams.find("config.judge.name", name, JUDGES)
    judge = factory(**options)
    if not isinstance(judge, Judge):
        raise UserError(
            f"judge {name!r} is no judge; it needs the attributes name and fingerprint and the "
            "methods embed_images and embed_texts"
        )
    return judge
