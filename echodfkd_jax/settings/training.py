"""How a network is trained. The defaults are the published recipe (arXiv 2409.07566)."""

import dataclasses
from typing import ClassVar

from echodfkd_jax.errors import UserError
from echodfkd_jax.settings.section import Section, setting

# Larger seeds are not taken by every generator of random numbers.
MAX_SEED = 2**31 - 2


def check_seed(seed: int) -> int:
    """Returns `config.seed`.

    Raises:
        UserError: it is no seed.
    """
    if not (isinstance(seed, int) and 0 <= seed <= MAX_SEED):
        raise UserError(f"config.seed={seed!r}: expected 0 to {MAX_SEED}")
    return seed


@dataclasses.dataclass(frozen=True)
class InputSettings(Section):
    """What the network sees."""

    section: ClassVar[str] = "input"
    decides_weights: ClassVar[bool] = True

    source: str = setting(
        "dataset",
        "'dataset': prepared clips on disk; 'generator': endless clips, made on the device",
        choices=("dataset", "generator"),
    )
    target: str = setting(
        "teacher",
        "'teacher': its soft mask; 'reference': the exact mask of generated clips; 'tracings': of "
        "recorded clips the frames that somebody traced, and no others",
        choices=("teacher", "reference", "tracings"),
    )
    window_frames: int = setting(25, "consecutive frames the network sees at once", least=1)
    min_expected_dice: float = setting(
        0.0,
        "frames whose teacher's mask is expected to have less Dice with the true one do not count, "
        "the others as much as is expected",
        least=0.0,
        most=1.0,
        off=True,
    )
    phase_windows: float = setting(
        0.0, "share of windows with the largest or smallest mask in the middle", least=0.0, most=1.0
    )
    num_threads: int = setting(
        2, "threads that read clips ahead; 0 reads when asked", least=0, most=256, resumable=True
    )
    cache_gib: float = setting(
        4.0, "decoded clips kept in memory; others are read again", least=0, resumable=True
    )
    subsample: int = setting(
        1, "every so many pixels each way are learnt from; inference takes all", least=1, most=2
    )

    def __post_init__(self) -> None:
        """Refuses impossible values."""
        super().__post_init__()
        judged = self.source == "dataset" and self.target == "teacher"
        expected = "0 (off) but with source='dataset' and target='teacher'"
        least = self.min_expected_dice
        self.require(judged or least == 0, "min_expected_dice", least, expected)

    def check_windows(self, num_frames: int) -> None:
        """Refuses windows that are longer than the clips.

        Args:
            num_frames: of the clips that are made.

        Raises:
            UserError: they are longer.
        """
        fits = self.source != "dataset" or self.window_frames <= num_frames
        expected = f"at most config.dataset.num_frames, {num_frames}"
        self.require(fits, "window_frames", self.window_frames, expected)


@dataclasses.dataclass(frozen=True)
class TrainSettings(Section):
    """How its weights are found."""

    section: ClassVar[str] = "train"
    decides_weights: ClassVar[bool] = True

    loss: str = setting(
        "bce",
        "by name: bce (as published), dice, bce_dice, bce_dice_area, focal, temperature; or "
        "'package.module:Name'",
    )
    other_structures: float = setting(
        1.0,
        "how much each structure beside the first of config.structures counts in the loss",
        least=0.0,
        most=1.0,
    )
    init_from: str = setting(
        "", "weights to begin with: a .safetensors file, or the shipped 'best' or 'small'"
    )
    batch_size: int = setting(32, "windows per step, over all devices", least=1)
    accumulate_steps: int = setting(
        1,
        "micro-batches that a step's batch is computed in, one after the other: the memory of one, "
        "the gradient of all; normalisation statistics are those of a micro-batch",
        least=1,
    )
    sync_batch_norm: bool = setting(
        True, "normalisation statistics over all devices; False: each device's own"
    )
    num_epochs: int = setting(350, "epochs at most", least=1, resumable=True)
    steps_per_epoch: int = setting(0, "0: one pass over the training clips", least=0)
    learning_rate: float = setting(1e-3, "Adam's, after the warm-up")
    schedule: str = setting(
        "constant",
        "'cosine': down to 0 at the last step of `num_epochs`",
        choices=("constant", "cosine"),
    )
    warmup_steps: int = setting(0, "over which the learning rate rises from 0", least=0)
    clip_norm: float = setting(
        0.0, "larger gradients are scaled down to this norm; 0: off", least=0
    )
    patience: int = setting(
        10, "epochs without a better validation loss; 0: never stop early", least=0, resumable=True
    )
    keep_checkpoints: int = setting(2, "the latest ones, besides the best", least=1, resumable=True)
    checkpoint_every_steps: int = setting(
        0, "0: at the end of an epoch, and when told to stop", least=0, resumable=True
    )
    log_every_steps: int = setting(50, "steps per line of metrics", least=1, resumable=True)
    image_every_epochs: int = setting(
        2, "between validation frames in TensorBoard; 0: none", least=0, resumable=True
    )

    def __post_init__(self) -> None:
        """Refuses impossible values."""
        super().__post_init__()
        rate = self.learning_rate
        self.require(0 < rate < 10, "learning_rate", rate, "a number above 0 and below 10")


@dataclasses.dataclass(frozen=True)
class AugmentSettings(Section):
    """How strongly training clips are changed, on the device; all off unless told.

    Each is drawn anew for every clip and step, evenly over what is named here.
    """

    section: ClassVar[str] = "augment"
    decides_weights: ClassVar[bool] = True

    gain: float = setting(0.0, "brightness times 2^-gain to 2^gain", least=0, most=3, off=True)
    gamma: float = setting(
        0.0, "grey values to the power of 2^-gamma to 2^gamma", least=0, most=3, off=True
    )
    veil: float = setting(
        0.0,
        "white laid over the sector, this fraction at most, as on scanners that show blood grey",
        least=0,
        most=1,
        off=True,
    )
    speckle: float = setting(
        0.0,
        "standard deviation of noise that multiplies, new in every frame and pixel, at most",
        least=0,
        most=2,
        off=True,
    )
    blur_px: float = setting(
        0.0, "standard deviation of a Gaussian blur, at most", least=0, most=10, off=True
    )
    shift: float = setting(
        0.0, "fraction of the frame's side, each way, at most", least=0, most=0.5, off=True
    )
    rotation_degrees: float = setting(
        0.0, "around the middle, each way, at most", least=0, most=180, off=True
    )
    scale: float = setting(
        0.0, "size times 2^-scale to 2^scale; larger ones are cropped", least=0, most=2, off=True
    )
    max_stride: int = setting(1, "every 1st to max_stride-th frame", least=1, off=True)
    still: float = setting(
        0.0,
        "fraction of the clips of which one frame stands still: pictures are segmented too",
        least=0,
        most=1,
        off=True,
    )
    sector_degrees: float = setting(
        0.0,
        "of a sector of 90 degrees, blacked out on each side, at most",
        least=0,
        most=45,
        off=True,
    )


@dataclasses.dataclass(frozen=True)
class ParallelSettings(Section):
    """On how many devices and hosts."""

    section: ClassVar[str] = "parallel"

    mode: str = setting(
        "jit", "both run the same step and give the same numbers", choices=("jit", "pmap")
    )
    coordinator: str = setting(
        "",
        "empty: this process is alone; 'auto': as the TPU, SLURM, MPI or Kubernetes says; "
        "HOST:PORT: where process 0 listens",
    )
    num_processes: int = setting(1, "with HOST:PORT", least=1)
    process_id: int = setting(0, "this one's, from 0, with HOST:PORT")

    def __post_init__(self) -> None:
        """Refuses impossible values."""
        super().__post_init__()
        where = self.coordinator
        known = where in ("", "auto") or where.rpartition(":")[2].isdigit()
        self.require(known, "coordinator", where, "'auto', HOST:PORT, or nothing")
        count, index = self.num_processes, self.process_id
        self.require(0 <= index < count, "process_id", index, f"one of 0 to {count - 1}")
