"""What is done with a student, once there is one."""

import dataclasses
from typing import ClassVar

from echodfkd_jax.settings.section import Section, setting


@dataclasses.dataclass(frozen=True)
class StudentSettings(Section):
    """Which student predict, serve, export and evaluate use."""

    section: ClassVar[str] = "student"

    weights: str = setting(
        "",
        "a .safetensors file, or the shipped 'best' or 'small'; empty: that of the run in "
        "config.workdir, or where there is none yet, the shipped 'best'",
    )
    checkpoint: str | int = setting(
        "best", "of the run: 'best' (lowest validation loss), 'latest', or a step"
    )
    refine: bool = setting(
        True,
        "smooth masks over 0.03 s and keep the largest part of each; False: as the network gives "
        "them, which is how the published students were scored",
    )


@dataclasses.dataclass(frozen=True)
class PredictSettings(Section):
    """Clips that somebody brings."""

    section: ClassVar[str] = "predict"

    inputs: str = setting("", "a clip, a folder or a glob")
    output: str = setting("", "folder of the results; empty: <workdir>/predictions")
    crop: str = setting(
        "square",
        "'square': the largest one around the middle; 'full': the whole frame, squeezed",
        choices=("square", "full"),
    )
    fps: float = setting(0.0, "frames per second; 0: what the file says", least=0, most=1e6)
    mirrored: str = setting(
        "auto",
        "whether left and right of the clips are exchanged; auto: found out for each of them",
        choices=("auto", "yes", "no"),
    )
    formats: tuple[str, ...] = setting(
        (),
        "what clips are written as besides: 'dicom' (of DICOM clips), 'nifti', 'coco', 'labelme', "
        "or 'package.module:Name'",
    )
    beam: str = setting(
        "",
        "options of a Beam pipeline that predicts on many machines, 'name=value,...'; empty: here",
    )
    stream: bool = setting(False, "frames from standard input, see docs/predict.md")


@dataclasses.dataclass(frozen=True)
class ServeSettings(Section):
    """A page in the browser that predicts a clip which is dropped on it."""

    section: ClassVar[str] = "serve"

    host: str = setting("127.0.0.1", "this machine only; '0.0.0.0' lets others in")
    port: int = setting(8112, "0: any that is free", least=0, most=65535)
    max_upload_mib: int = setting(256, "larger files are refused", least=1)


@dataclasses.dataclass(frozen=True)
class ExportSettings(Section):
    """The student, or the data set, for elsewhere."""

    section: ClassVar[str] = "export"

    format: str = setting(
        "safetensors",
        "see docs/export.md; 'hub' and 'hub_dataset' are folders with a card",
        choices=("safetensors", "stablehlo", "onnx", "pytorch", "hub", "hub_dataset"),
    )
    file: str = setting(
        "", "empty: <workdir>/export/student.<suffix of the format>, or export/<format> of a folder"
    )
    onnx_python: str = setting(".venv-onnx/bin/python", "with requirements-onnx.txt")


@dataclasses.dataclass(frozen=True)
class ImportStudentSettings(Section):
    """A student of the published PyTorch code becomes a run."""

    section: ClassVar[str] = "import_student"

    file: str = setting("", ".ckpt, .pt or .safetensors")
