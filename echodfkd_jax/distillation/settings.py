"""What a training run is asked to do; impossible values are refused here, by field name.

One dataclass per section of the configuration, made as `TrainSettings(**config.train)`.
"""

import dataclasses

from echodfkd_jax.errors import UserError


def _require(ok: bool, field: str, value: object, expected: str) -> None:
    if not ok:
        raise UserError(f"{field}={value!r}: expected {expected}")


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

    def __post_init__(self) -> None:
        sources = ("dataset", "generator")
        targets = ("teacher", "reference")
        _require(self.source in sources, "config.input.source", self.source, _one_of(sources))
        _require(self.target in targets, "config.input.target", self.target, _one_of(targets))
        window = self.window_frames
        _require(window >= 1, "config.input.window_frames", window, "1 or more")
        _require(self.num_threads >= 0, "config.input.num_threads", self.num_threads, "0 or more")
        _require(self.cache_gib >= 0, "config.input.cache_gib", self.cache_gib, "0 or more")
        subsample = self.subsample
        _require(subsample in (1, 2), "config.input.subsample", subsample, "1 or 2")


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """Section `config.train`.

    Attributes:
        batch_size: windows per step, over all devices.
        num_epochs: epochs at most.
        steps_per_epoch: steps between two validations; 0: one pass over the training clips.
        learning_rate: Adam's, after the warm-up.
        schedule: "constant", or "cosine" (to 0 at the last step of `num_epochs`).
        warmup_steps: steps over which the learning rate rises linearly from 0.
        clip_norm: largest norm of the gradient; larger ones are scaled down; 0: off.
        patience: epochs without a better validation loss before training stops; 0: never.
        keep_checkpoints: how many of the latest are kept; the best is kept besides.
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

    def __post_init__(self) -> None:
        for field in ("batch_size", "num_epochs", "keep_checkpoints", "log_every_steps"):
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
        _require(
            self.schedule in schedules, "config.train.schedule", self.schedule, _one_of(schedules)
        )


@dataclasses.dataclass(frozen=True)
class ParallelSettings:
    """Section `config.parallel`.

    Attributes:
        mode: "jit" or "pmap"; both run the same step and give the same numbers.
    """

    mode: str

    def __post_init__(self) -> None:
        modes = ("jit", "pmap")
        _require(self.mode in modes, "config.parallel.mode", self.mode, _one_of(modes))


def _one_of(values: tuple[str, ...]) -> str:
    return " or ".join(repr(value) for value in values)
