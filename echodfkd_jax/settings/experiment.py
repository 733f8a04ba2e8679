"""What is learnt from, what is learnt, and how it is judged."""

import dataclasses
from typing import ClassVar

from echodfkd_jax.settings.section import Section, setting


@dataclasses.dataclass(frozen=True)
class DatasetSettings(Section):
    """Where the clips come from; fields that a source does not have are not looked at."""

    section: ClassVar[str] = "dataset"
    decides_weights: ClassVar[bool] = True

    name: str = setting(
        "synthetic",
        "synthetic, synthetic_paper, echonet_dynamic, echonet_synthetic, camus or folder",
    )
    data_dir: str = setting(
        "", "of prepared data sets; empty: tfds' own, ~/tensorflow_datasets", resumable=True
    )
    manual_dir: str = setting(
        "", "the folder that holds recorded clips, as they were downloaded", resumable=True
    )
    generator: str = setting(
        "phantom", "of endless or generated clips: phantom, or 'package.module:Name'"
    )
    num_train: int = setting(400, "generated training clips")
    num_validation: int = setting(40, "generated validation clips")
    num_test: int = setting(100, "generated test clips")
    num_frames: int = setting(64, "of a generated clip")
    seed: int = setting(0, "of the generated clips")
    min_frames: int = setting(25, "shorter recorded clips are left out, and counted")
    view: str = setting("4CH", "of CAMUS: 4CH or 2CH", choices=("4CH", "2CH"))


@dataclasses.dataclass(frozen=True)
class TeacherSettings(Section):
    """What suggests the masks; teachers have options of their own besides."""

    section: ClassVar[str] = "teacher"
    decides_weights: ClassVar[bool] = True

    name: str = setting(
        "unet",
        "unet, deeplabv3, student, onnx, precomputed, ensemble, or 'package.module:Name'; 'none' "
        "for clips that are learnt from their own tracings",
    )
    weights: str = setting("", "empty: the weights that are shipped")


@dataclasses.dataclass(frozen=True)
class ModelSettings(Section):
    """The published student; another network has fields of its own instead."""

    section: ClassVar[str] = "model"
    decides_weights: ClassVar[bool] = True

    name: str = setting("convlstm", "convlstm, unet, or 'package.module:Name'")
    blocks: int = setting(3, "k of the paper, 1 to 4", least=1)
    layers: int = setting(3, "n of the paper, 1 to 4", least=1)
    filters: int = setting(12, "channels of the first block", least=1)
    normalise: bool = setting(False, "every frame to zero mean and unit standard deviation")
    skips: bool = setting(False, "adds every block's output to the decoder's")
    burn_in_frames: int = setting(0, "looks at the first frame before a clip begins", least=0)
    subsampling: int = setting(1, "2: half the resolution each way, a quarter of the work", least=1)
    dtype: str = setting(
        "auto",
        "of the products' factors; 'auto': bfloat16 on TPU and GPU; weights and loss stay float32",
        choices=("auto", "float32", "bfloat16"),
    )
    remat: bool = setting(
        False, "compute again instead of keep: less memory, slower", resumable=True
    )


@dataclasses.dataclass(frozen=True)
class EvalSettings(Section):
    """What a student is judged on."""

    section: ClassVar[str] = "eval"

    split: str = setting("test", "of the data set: train, validation or test; 'all' of a folder")
    clips_dir: str = setting("", "a folder in the EchoNet layout, instead of the split")
    evaluators: tuple[str, ...] = setting(
        (
            "overlap",
            "phase",
            "ejection_fraction",
            "calibration",
            "measures",
            "protocols",
            "window",
            "trust",
        ),
        "what is computed; any may be 'package.module:Name'; the judge has its own section",
    )
    bootstrap_samples: int = setting(10_000, "for the intervals", least=1)
    seed: int = setting(0, "of the bootstrap", least=0, most=2**63 - 1)
    batch_size: int = setting(4, "clips of equal length that are predicted at once", least=1)
    watch: bool = setting(False, "score every checkpoint until training has ended")
    poll_s: float = setting(5.0, "seconds between two looks at the checkpoints while watching")

    def __post_init__(self) -> None:
        """Refuses impossible values."""
        super().__post_init__()
        self.require(self.poll_s > 0, "poll_s", self.poll_s, "seconds, more than 0")


@dataclasses.dataclass(frozen=True)
class JudgeSettings(Section):
    """An image-text model that scores masks and phases without human labels."""

    section: ClassVar[str] = "judge"

    name: str = setting("", "empty: none; echoclip, open_clip, or 'package.module:Name'")
    weights: str = setting("", "a local file; empty: the Hugging Face hub, after logging in")
    dtype: str = setting("float32", "of the products", choices=("float32", "bfloat16"))
    batch_size: int = setting(16, "frames at once", least=1)
    cache_dir: str = setting("", "of the clips' embeddings; empty: <workdir>/judge_cache")
    erasure_step_frames: int = setting(1, "erasure scores look at every so many frames", least=1)


@dataclasses.dataclass(frozen=True)
class ReportSettings(Section):
    """The page about a run, or about several beside each other."""

    section: ClassVar[str] = "report"

    num_clips: int = setting(
        3,
        "best, median and worst clips shown, of each; of a comparison, three times as many",
        least=1,
    )
    compare: tuple[str, ...] = setting(
        (),
        "folders of runs, or of evaluations of one, that are put beside each other; the others are "
        "compared with the first",
    )


@dataclasses.dataclass(frozen=True)
class SweepSettings(Section):
    """Students of several sizes."""

    section: ClassVar[str] = "sweep"

    sizes: tuple[str, ...] = setting(
        tuple(f"{blocks}{layers}" for blocks in range(1, 5) for layers in range(1, 5)),
        "blocks and layers as one number each",
    )
