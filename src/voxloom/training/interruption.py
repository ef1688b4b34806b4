"""Ctrl-C and SIGTERM while training: finish the step, save, then stop.

Knows signals. A second Ctrl-C stops at once, as Python does.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

from lightning import Callback, Trainer
from lightning.pytorch import LightningModule


class Interruption(Callback):
    """Turns the first SIGINT or SIGTERM into an orderly end of the training; ``requested`` tells that it happened."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, object] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if trainer.world_size > 1:  # one process that is told to stop stops all, at the same step
            self.requested = trainer.strategy.reduce_boolean_decision(self.requested, all=False)
        if self.requested:
            trainer.should_stop = True

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}
