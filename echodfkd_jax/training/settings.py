"""What a training run is asked to do; impossible values are refused here, by field name.

One dataclass per section of the configuration, made as `TrainSettings(**config.train)`.
"""

import dataclasses

from echodfkd_jax.errors import UserError
from echodfkd_jax.training.losses import LOSSES


def _require(ok: bool, field: str, value: object, expected: str) -> None:
    if not ok:
        raise UserError(f"{field}={value!r}: expected {expected}")


# Larger seeds are not taken by every generator of random numbers.
MAX_SEED = 2**31 - 2


def check_seed(seed: int) -> int:
    """Returns `config.seed`.

    Raises:
        UserError: it is no seed.
    """
    ok = isinstance(seed, int) and 0 <= seed <= MAX_SEED
    _require(ok, "config.seed", seed, f"0 to {MAX_SEED}")
    return seed


@dataclasses.dataclass(frozen=True)
class InputSettings:
    """Section `config.input`.

    Attributes:
        source: "dataset" (prepared clips on disk) or "generator" (clips made on the device).
        target: "teacher" (its soft mask) or "reference" (the exact mask of generated clips).
        window_frames: consecutive frames the network sees at once.
        num_threads: threads that read clips ahead; 0 reads when asked.
        cache_gib: decoded clips kept in memory, in GiB; clips beyond it are read again.
        subsample: every so many pixels each way are learned from; 1: all. Inference takes all.
    """

    source: str
    target: str
    window_frames: int
    num_threads: int
    cache_gib: float
    subsample: int = 1

    def check_windows(self, num_frames: int) -> None:
        """Refuses windows that are longer than the clips.

        Args:
            num_frames: of the clips that are made.

        Raises:
            UserError: they are longer.
        """
        fits = self.source != "dataset" or self.window_frames <= num_frames
        expected = f"at most config.dataset.num_frames, {num_frames}"
        _require(fits, "config.input.window_frames", self.window_frames, expected)

    def __post_init__(self) -> None:
        sources = ("dataset", "generator")
        targets = ("teacher", "reference")
        _require(self.source in sources, "config.input.source", self.source, _one_of(sources))
        _require(self.target in targets, "config.input.target", self.target, _one_of(targets))
        window = self.window_frames
        _require(window >= 1, "config.input.window_frames", window, "1 or more")
        threads = self.num_threads
        _require(0 <= threads <= 256, "config.input.num_threads", threads, "0 to 256")
        _require(self.cache_gib >= 0, "config.input.cache_gib", self.cache_gib, "0 or more")
        subsample = self.subsample
        _require(subsample in (1, 2), "config.input.subsample", subsample, "1 or 2")


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """Section `config.train`.

    Attributes:
        batch_size: windows per step, over all devices.
        accumulate_steps: parts that a step's batch is computed in, one after the other; the memory
            is that of one part, the gradient that of the whole batch. Normalisation statistics are
            those of a part.
        sync_batch_norm: normalisation statistics are those of all devices, so that the number of
            devices does not matter; False: each device's own.
        num_epochs: epochs at most.
        steps_per_epoch: steps between two validations; 0: one pass over the training clips.
        loss: "bce" as published, "dice", or their sum "bce_dice".
        learning_rate: Adam's, after the warm-up.
        schedule: "constant", or "cosine" (to 0 at the last step of `num_epochs`).
        warmup_steps: steps over which the learning rate rises linearly from 0.
        clip_norm: largest norm of the gradient; larger ones are scaled down; 0: off.
        patience: epochs without a better validation loss before training stops; 0: never.
        keep_checkpoints: how many of the latest are kept; the best is kept besides.
        checkpoint_every_steps: steps between two checkpoints within an epoch; 0: only at its end.
        log_every_steps: steps per line of metrics.
        image_every_epochs: epochs between validation frames in TensorBoard; 0: none.
    """

    batch_size: int
    num_epochs: int
    steps_per_epoch: int
    learning_rate: float
    schedule: str
    warmup_steps: int
    clip_norm: float
    patience: int
    keep_checkpoints: int
    log_every_steps: int
    image_every_epochs: int
    loss: str = "bce"
    accumulate_steps: int = 1
    sync_batch_norm: bool = True
    checkpoint_every_steps: int = 0

    def __post_init__(self) -> None:
        for field in (
            "batch_size",
            "accumulate_steps",
            "num_epochs",
            "keep_checkpoints",
            "log_every_steps",
        ):
            _require(
                getattr(self, field) >= 1,
                f"config.train.{field}",
                getattr(self, field),
                "1 or more",
            )
        for field in (
            "steps_per_epoch",
            "warmup_steps",
            "clip_norm",
            "patience",
            "checkpoint_every_steps",
            "image_every_epochs",
        ):
            _require(
                getattr(self, field) >= 0,
                f"config.train.{field}",
                getattr(self, field),
                "0 or more",
            )
        rate, schedules = self.learning_rate, ("constant", "cosine")
        _require(0 < rate < 10, "config.train.learning_rate", rate, "a number above 0 and below 10")
        known = tuple(LOSSES)
        _require(self.loss in known, "config.train.loss", self.loss, _one_of(known))
        _require(
            self.schedule in schedules, "config.train.schedule", self.schedule, _one_of(schedules)
        )


@dataclasses.dataclass(frozen=True)
class AugmentSettings:
    """Section `config.augment`: how strongly training clips are changed; all off unless told.

    Each is drawn anew for every clip and step, evenly over what is named here.

    Attributes:
        gain: brightness is multiplied by 2^-gain to 2^gain.
        gamma: grey values are raised to a power of 2^-gamma to 2^gamma.
        veil: white is laid over the sector, 0 to this share of it, as on scanners that show blood
            grey.
        speckle: noise that multiplies, of 0 to this deviation, new in every frame and pixel.
        blur_px: Gaussian blur with a deviation of 0 to so many pixels.
        shift: each way by up to this part of the frame's side.
        rotation_degrees: around the middle, by up to so many degrees each way.
        scale: the picture is made 2^-scale to 2^scale times as large; larger ones are cropped.
        max_stride: every 1st to max_stride-th frame; see `augmentation.quicken`.
        still: share of the clips of which one frame stands still: pictures are segmented too.
        sector_degrees: 0 to so many degrees of a sector of 90 are blacked out on each side.
    """

    gain: float = 0.0
    gamma: float = 0.0
    veil: float = 0.0
    speckle: float = 0.0
    blur_px: float = 0.0
    shift: float = 0.0
    rotation_degrees: float = 0.0
    scale: float = 0.0
    max_stride: int = 1
    still: float = 0.0
    sector_degrees: float = 0.0

    def __post_init__(self) -> None:
        limits = {
            "gain": 3,
            "gamma": 3,
            "speckle": 2,
            "blur_px": 10,
            "shift": 0.5,
            "rotation_degrees": 180,
            "scale": 2,
            "sector_degrees": 45,
            "still": 1,
            "veil": 1,
        }
        for field, limit in limits.items():
            value = getattr(self, field)
            _require(0 <= value <= limit, f"config.augment.{field}", value, f"0 (off) to {limit}")
        stride = self.max_stride
        _require(stride >= 1, "config.augment.max_stride", stride, "1 (off) or more")


@dataclasses.dataclass(frozen=True)
class ParallelSettings:
    """Section `config.parallel`.

    Attributes:
        mode: "jit" or "pmap"; both run the same step and give the same numbers.
        coordinator: who brings several processes together. Empty: this process is alone. "auto":
            as the TPU, SLURM, MPI or Kubernetes says. HOST:PORT: where process 0 listens.
        num_processes: with HOST:PORT.
        process_id: this one's, from 0, with HOST:PORT.
    """

    mode: str
    coordinator: str = ""
    num_processes: int = 1
    process_id: int = 0

    def __post_init__(self) -> None:
        modes = ("jit", "pmap")
        _require(self.mode in modes, "config.parallel.mode", self.mode, _one_of(modes))
        where = self.coordinator
        _require(
            where in ("", "auto") or where.rpartition(":")[2].isdigit(),
            "config.parallel.coordinator",
            where,
            "'auto', HOST:PORT, or nothing",
        )
        count, index = self.num_processes, self.process_id
        _require(count >= 1, "config.parallel.num_processes", count, "1 or more")
        _require(
            0 <= index < count, "config.parallel.process_id", index, f"one of 0 to {count - 1}"
        )


def _one_of(values: tuple[str, ...]) -> str:
    return " or ".join(repr(value) for value in values)
