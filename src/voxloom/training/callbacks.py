"""What happens around the steps: keep the budget, validate, log, save, show progress.

Each callback does one thing. None of them changes the weights, so none can make a resumed run differ.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer

from voxloom.training.checkpoint import save_checkpoint
from voxloom.training.job import Measured, Scorer
from voxloom.training.log import TrainingLog
from voxloom.training.module import TrainingModule
from voxloom.training.pace import Pace
from voxloom.training.settings import TrainingSettings
from voxloom.training.weights import save_weights

#: Steps whose time is not counted: the first ones include compilation and cold memory.
WARM_UP_STEPS = 3
#: Steps whose mean time tells the pace: older ones tell of a machine that was busier or quieter then.
RECENT_STEPS = 64
#: Steps after which the clock may be believed: the first ones that it counts are still slow.
FIRST_CORRECTION = 16
#: Validations take at most this share of a budget; those that would take more are left out, and recorded.
VALIDATION_SHARE = 0.25
#: Seconds between two checkpoints; a kill loses at most this much work.
SAVE_EVERY = 60.0


class Advance(Callback):
    """Counts the step before any other callback looks at it, and ends the run after the last one."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        pl_module.count_step()
        if pl_module.pace.done:
            trainer.should_stop = True


class Clock(Callback):
    """Seconds spent in this training, over all resumptions, and seconds per step of the present one.

    Parameters
    ----------
    before : seconds spent before this process resumed the training.
    """

    def __init__(self, before: float = 0.0) -> None:
        self.before, self.start, self.steps = before, time.monotonic(), 0
        self._last, self._recent = self.start, deque[float](maxlen=RECENT_STEPS)

    @property
    def seconds(self) -> float:
        """Seconds since the first start, pauses between kills left out."""
        return self.before + time.monotonic() - self.start

    @property
    def per_step(self) -> float:
        """Mean seconds of one of the last steps, waiting for its batch included, validation left out."""
        return sum(self._recent) / max(1, len(self._recent))

    def leave_out(self) -> None:
        """Do not count the time since the last step as that of the next."""
        self._last = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.leave_out()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        now = time.monotonic()
        if batch_idx >= WARM_UP_STEPS:
            self._recent.append(now - self._last)
            self.steps += 1
        self._last = now

    def state(self) -> dict[str, float]:
        """For the checkpoint: seconds so far and seconds per step."""
        return {"seconds": self.seconds, "per_step": self.per_step}


class Budget(Callback):
    """Corrects the number of steps so that training and validations end within the budget.

    Parameters
    ----------
    validate : its clock measures steps, and it knows what the validations to come will take.
    seconds : of the whole training, over all resumptions.
    """

    def __init__(self, validate: Validate, seconds: float) -> None:
        self.clock, self.seconds, self.validate = validate.clock, seconds, validate

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        pace = pl_module.pace
        if pace.done or not self._due(self.clock.steps, pace.total()):
            return
        left = self.seconds - self.clock.seconds - self.validate.seconds_ahead(pace.progress)
        pace.fit_into(*trainer.strategy.broadcast((left, self.clock.per_step)))  # one clock for all processes

    def _due(self, steps: int, total: int) -> bool:
        """At every fiftieth of the steps; before the first of these at powers of two, for recipes that name far more steps than fit.

        By counts alone: clocks of several processes differ, and all must ask at the same step.
        """
        every = max(5, total // 50)
        early = FIRST_CORRECTION <= steps < every and steps & (steps - 1) == 0
        return early or (steps > 0 and steps % every == 0)


class Validate(Callback):
    """Predicts the validation cases at equal shares of the schedule, logs a row, keeps the best weights, stops early.

    Parameters
    ----------
    validator : or None when there is no validation case; then only the loss is logged.
    log, clock : where rows go and what time it is.
    folder, description : where the best weights are written, and what fits them.
    settings : how many validations there are, which weights are kept, and how long without a better value ends the run.
    cases_per_epoch : patches of this process in one pass over the training cases, to count epochs.
    budget : seconds of the whole training; without one no validation is left out but those that the pace names.
    """

    def __init__(
        self,
        validator: Scorer | None,
        log: TrainingLog,
        clock: Clock,
        folder: Path,
        description: dict[str, Any],
        *,
        settings: TrainingSettings,
        cases_per_epoch: float,
        budget: float | None = None,
    ) -> None:
        self.validator, self.records, self.clock, self.folder, self.description = (
            validator,
            log,
            clock,
            folder,
            description,
        )
        self.settings, self.count, self.cases_per_epoch = settings, settings.validations, cases_per_epoch
        self.budget, self.cost, self.spent, self._done = budget, 0.0, 0.0, -1

    def seconds_ahead(self, progress: float) -> float:
        """Seconds that the validations to come will take, by the last one; never more than their share of a budget."""
        ahead = self.cost * max(0, self.count - math.floor(progress * self.count))
        return (
            ahead if self.budget is None else min(ahead, VALIDATION_SHARE * max(0.0, self.budget - self.clock.seconds))
        )

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._done = math.floor(pl_module.pace.progress * self.count + 1e-9)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        module: TrainingModule = pl_module
        due = self.count if module.pace.done else math.floor(module.pace.progress * self.count + 1e-9)
        if due > self._done:
            self._done = due
            left_out = not module.pace.done and self._no_time(module.pace, due)
            if trainer.strategy.broadcast(left_out):
                return
            loss = trainer.strategy.reduce(torch.tensor(module.take_mean_loss()), reduce_op="mean")
            if trainer.is_global_zero:
                self._validate(trainer, module, float(loss))
            trainer.should_stop = trainer.strategy.broadcast(trainer.should_stop)
            self.clock.leave_out()

    def _no_time(self, pace: Pace, number: int) -> bool:
        """Whether this validation is left out: as recorded, or because all of them would take too much of the budget."""
        too_dear = self.budget is not None and self.spent + self.cost > VALIDATION_SHARE * self.clock.seconds
        if too_dear and number not in pace.left_out:
            pace.left_out.append(number)
        return number in pace.left_out

    def _validate(self, trainer: Trainer, module: TrainingModule, loss: float) -> None:
        start = time.monotonic()
        module.settle()
        with averaged(module):
            found = self.validator.scores(module.network) if self.validator else Measured([])
            scores = found.scores
            mean = float(sum(scores) / len(scores)) if len(scores) else math.nan
            step = module.pace.step
            epoch = step * module.settings.batch / self.cases_per_epoch
            per_label = list(scores) if len(scores) else [math.nan] * len(self.records.labels)
            row = [step, self.clock.seconds, epoch, module.rate, loss, mean, *per_label]
            further = [found.further.get(name, math.nan) for name in self.records.further]
            self.records.add([*row, found.loss, *further])
            if not len(scores) or self.settings.keep == "last" or self.records.is_best():
                save_weights(self.folder, module.network.state_dict(), self.description)
        self.cost = time.monotonic() - start
        self.spent += self.cost
        told = zip(self.records.columns, self.records.rows[-1], strict=True)
        figures = {name: value for name, value in told if not math.isnan(value)}
        for logger in trainer.loggers:
            logger.log_metrics(figures, step=step)
        if self._is_patience_over():
            trainer.should_stop = True

    def _is_patience_over(self) -> bool:
        """Whether too many validations, or too many epochs, have brought nothing better."""
        s, records = self.settings, self.records
        if s.patience and records.since_best() >= s.patience:
            return True
        one_step = min(
            0.5, s.batch / self.cases_per_epoch
        )  # a validation falls on the step next to the end of its epoch
        return bool(s.patience_epochs) and records.epochs_since_best() > s.patience_epochs - one_step - 1e-6


@contextlib.contextmanager
def averaged(module: TrainingModule) -> Iterator[None]:
    """The network with the moving average of its weights, where the run keeps one."""
    with module.ema.applied_to(module.network) if module.ema is not None else contextlib.nullcontext():
        yield


class Save(Callback):
    """Writes ``last.ckpt`` whole or not at all: every minute, at the end and when the run is interrupted."""

    def __init__(self, path: Path, log: TrainingLog, clock: Clock) -> None:
        self.path, self.records, self.clock, self._last = path, log, clock, time.monotonic()

    def save(self, trainer: Trainer, module: TrainingModule) -> None:
        """Write the checkpoint now."""
        save_checkpoint(self.path, module, trainer.optimizers[0], self.records, self.clock.state())
        self._last = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        due = pl_module.pace.done or trainer.should_stop or time.monotonic() - self._last > SAVE_EVERY
        if due and trainer.is_global_zero:
            self.save(trainer, pl_module)


#: ``report(step, steps, seconds_left, train_loss, {label: Dice})``
Reporter = Callable[[int, int, float, float, dict[str, float]], None]


class Report(Callback):
    """Tells a reporter (a progress bar, a test) how far the training is."""

    def __init__(self, reporter: Reporter, clock: Clock, validate: Validate) -> None:
        self.reporter, self.clock, self.validate, self._loss = reporter, clock, validate, math.nan

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        pace = pl_module.pace
        if batch_idx % 10 == 0 or math.isnan(self._loss):
            loss = pl_module.last_loss  # on a card that of two steps before: to read this one's would make both wait
            self._loss = loss if math.isnan(self._loss) else 0.8 * self._loss + 0.2 * loss
        left = (pace.total() - pace.step) * self.clock.per_step + self.validate.seconds_ahead(pace.progress)
        log = self.validate.records
        dice = dict(zip(log.labels, log.rows[-1][6 : 6 + len(log.labels)], strict=True)) if log.rows else {}
        self.reporter(pace.step, pace.total(), left, self._loss, dice)
