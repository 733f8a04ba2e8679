"""What is said about the steps as they are taken: lines of metrics, progress bar, non-finite loss.

A step's metrics are fetched when the next step has been handed to the device, so that the device
never waits for the host, and a number that is not finite is still noticed before anything is saved.
"""

import math
import sys
import time
from collections.abc import Callable, Mapping

import jax
import tqdm

from echodfkd_jax.errors import UserError

# Writes the scalars of one step: `write(step, {tag: value})`.
WriteScalars = Callable[[int, dict[str, float]], None]

# The first step is compiled; the time of the nine after it is what to expect.
_TIMED_STEPS = 10
# What is summed up over an epoch, and over the steps since the last line of metrics.
_EPOCH = ("epoch_loss_sum", "epoch_count")
_LINE = ("line_loss_sum", "line_count", "line_grad_norm", "line_steps")


class Monitor:
    """Follows the steps of a run, one `push` per step."""

    def __init__(
        self,
        *,
        write: WriteScalars,
        learning_rate: Callable[[int], float],
        log_every_steps: int,
        batch_size: int,
        first_step: int,
        num_steps: int,
        last_saved: Callable[[], str],
        sums: Mapping[str, float] | None = None,
        silent: bool = False,
    ) -> None:
        """Opens the progress bar.

        Args:
            write: gets `train/loss`, `train/learning_rate`, `train/grad_norm` (means over the steps
                since the last line) and `train/clips_per_s`.
            learning_rate: of a step, counted from 0.
            log_every_steps: steps per line.
            batch_size: clips per step.
            first_step: steps taken before this start.
            num_steps: steps of the longest possible run.
            last_saved: names the last good checkpoint, for the message about a bad step.
            sums: what `settle` gave within the epoch that is continued.
            silent: no progress bar and nothing said; for all processes but one.
        """
        self._write = write
        self._learning_rate = learning_rate
        self._log_every_steps = log_every_steps
        self._batch_size = batch_size
        self._num_steps = num_steps
        self._silent = silent
        self._last_saved = last_saved
        self._waiting: tuple[int, dict[str, jax.Array]] | None = None
        self._sums = dict.fromkeys((*_EPOCH, *_LINE), 0.0) | dict(sums or {})
        self._clips = 0.0  # Since the clock of the line was started.
        self._line_start_s = time.perf_counter()
        self._first_step = first_step
        self._timed_from_s = 0.0
        self._paused_at_s = time.perf_counter()
        terminal = sys.stderr.isatty()
        self.bar = tqdm.tqdm(
            total=num_steps,
            initial=first_step,
            unit="step",
            disable=silent,
            dynamic_ncols=True,
            # A log file gets a line now and then instead of a thousand.
            mininterval=0.2 if terminal else 30.0,
            maxinterval=10.0 if terminal else 60.0,
        )

    def push(self, step: int, metrics: dict[str, jax.Array]) -> None:
        """Takes the metrics of `step` (counted from 1), looks at those of the step before.

        Raises:
            UserError: the step before had a loss or a gradient that is not finite.
        """
        waiting, self._waiting = self._waiting, (step, metrics)
        if waiting is not None:
            self._look(*waiting)

    def settle(self) -> dict[str, float]:
        """Looks at what is waiting, in the middle of an epoch.

        Returns:
            What a later start needs to go on as if there had been no break.

        Raises:
            UserError: see `push`.
        """
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._look(*waiting)
        return dict(self._sums)

    def flush(self) -> float:
        """Looks at what is waiting and ends the line of metrics; the clock stands still after it.

        Returns:
            The mean loss since the last flush; nan where there was no step.

        Raises:
            UserError: see `push`.
        """
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._look(*waiting, end=True)
        loss_sum, count = self._sums["epoch_loss_sum"], self._sums["epoch_count"]
        self._sums.update(dict.fromkeys(_EPOCH, 0.0))
        self._paused_at_s = time.perf_counter()
        return loss_sum / count if count else math.nan

    def resume_clock(self) -> None:
        """Leaves what was done since `flush`, such as validation, out of the speed."""
        now_s = time.perf_counter()
        self._timed_from_s += now_s - self._paused_at_s
        self._line_start_s, self._clips = now_s, 0.0

    def say(self, text: str) -> None:
        """Prints a line above the progress bar."""
        if not self._silent:
            self.bar.write(text)

    def close(self) -> None:
        """Closes the progress bar."""
        self.bar.close()

    def _look(self, step: int, metrics: dict[str, jax.Array], *, end: bool = False) -> None:
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        if values["finite"] < 1 or not math.isfinite(values["loss_sum"]):
            raise UserError(
                f"the loss or its gradient is no longer finite in steps {max(step - 1, 1)} to "
                f"{step}; {self._last_saved()}; train again in another config.workdir with a lower "
                f"config.train.learning_rate (now {self._learning_rate(step - 1):g}) or with "
                "config.train.clip_norm=1.0"
            )
        for name in ("loss_sum", "count"):
            self._sums[f"epoch_{name}"] += values[name]
            self._sums[f"line_{name}"] += values[name]
        self._sums["line_grad_norm"] += values["grad_norm"]
        self._sums["line_steps"] += 1
        self._clips += values["count"]
        self.bar.update()
        self._estimate(step)
        if end or step % self._log_every_steps == 0:
            self._line(step)

    def _line(self, step: int) -> None:
        now_s, sums = time.perf_counter(), self._sums
        line = {
            "train/loss": sums["line_loss_sum"] / sums["line_count"],
            "train/learning_rate": float(self._learning_rate(step - 1)),
            "train/grad_norm": sums["line_grad_norm"] / sums["line_steps"],
            "train/clips_per_s": self._clips / max(now_s - self._line_start_s, 1e-9),
        }
        self._write(step, line)
        self.bar.set_postfix_str(
            f"loss {line['train/loss']:.4f}, {line['train/clips_per_s']:.1f} clips/s", refresh=False
        )
        sums.update(dict.fromkeys(_LINE, 0.0))
        self._line_start_s, self._clips = now_s, 0.0

    def _estimate(self, step: int) -> None:
        done = step - self._first_step
        if done == 1:
            self._timed_from_s = time.perf_counter()
        elif done == _TIMED_STEPS:
            per_step_s = (time.perf_counter() - self._timed_from_s) / (_TIMED_STEPS - 1)
            left = self._num_steps - step
            self.say(
                f"{per_step_s:.3g} s per step of {self._batch_size} clips: at most "
                f"{_duration(per_step_s * left)} for the {left} steps left, "
                f"{_duration(per_step_s * self._num_steps)} for all {self._num_steps}, "
                "and the validations"
            )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
