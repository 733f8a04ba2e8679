"""How far a run is."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a run is, saved with every checkpoint.

    Attributes:
        step: steps taken.
        epoch: epochs finished.
        validation_loss: at this step; None within an epoch.
        best_validation_loss: the lowest so far.
        best_step: where it was reached; the first one on ties.
        epochs_without_improvement: since then.
        sums: within an epoch, what `monitor.Monitor` has summed up for its lines; else empty.
    """

    step: int = 0
    epoch: int = 0
    validation_loss: float | None = None
    best_validation_loss: float | None = None
    best_step: int = 0
    epochs_without_improvement: int = 0
    sums: dict[str, float] = dataclasses.field(default_factory=dict)

    def within_epoch(self, step: int, sums: dict[str, float]) -> "Progress":
        """The progress at a step before the end of the next epoch."""
        return dataclasses.replace(self, step=step, validation_loss=None, sums=sums)

    def after_epoch(self, step: int, validation_loss: float) -> "Progress":
        """The progress after one more epoch that ended at `step`."""
        best = self.best_validation_loss
        better = best is None or validation_loss < best
        return Progress(
            step=step,
            epoch=self.epoch + 1,
            validation_loss=validation_loss,
            best_validation_loss=validation_loss if better else best,
            best_step=step if better else self.best_step,
            epochs_without_improvement=0 if better else self.epochs_without_improvement + 1,
        )
