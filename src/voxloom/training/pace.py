"""How far a run is: steps, and steps that are re-counted so that a time budget is kept.

The schedule is a function of ``progress`` in [0, 1], which grows by an equal share of what is left at every step. When the
machine turns out faster or slower than measured, the number of steps is corrected and the correction is recorded, so that
a budgeted run can be repeated and resumed exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: Corrections smaller than this share of the remaining steps are not worth a record.
SMALLEST_CORRECTION = 0.03


@dataclass
class Pace:
    """The count of steps of one training.

    Parameters
    ----------
    steps : steps in all, as planned before the start.
    changes : (step, steps in all) corrections, in order; replayed when given at the start.
    left_out : numbers of the validations that a budget had no time for; left out again when given at the start.
    """

    steps: int
    changes: list[tuple[int, int]] = field(default_factory=list)
    left_out: list[int] = field(default_factory=list)
    step: int = 0
    progress: float = 0.0

    def total(self) -> int:
        """Steps in all, as corrected up to the present step."""
        return next((total for step, total in reversed(self.changes) if step <= self.step), self.steps)

    @property
    def done(self) -> bool:
        """Whether the last step has been taken."""
        return self.step >= self.total()

    def advance(self) -> None:
        """Count one step."""
        left = self.total() - self.step
        self.progress = 1.0 if left <= 1 else self.progress + (1.0 - self.progress) / left
        self.step += 1

    def fit_into(self, seconds_left: float, seconds_per_step: float) -> None:
        """Correct the steps in all so that the rest fits into ``seconds_left``; at least one step is left."""
        left = self.total() - self.step
        possible = max(1, int(seconds_left / seconds_per_step))
        if left > 0 and abs(possible - left) > SMALLEST_CORRECTION * left:
            self.changes.append((self.step, self.step + possible))

    def extend(self, steps: int) -> None:
        """Add ``steps`` to a run; the schedule continues from the progress that the longer run would have had."""
        self.changes.append((self.step, self.step + steps))
        self.progress = self.step / (self.step + steps)

    def state_dict(self) -> dict[str, Any]:
        """All of it, as plain numbers."""
        return {
            "steps": self.steps,
            "changes": [list(c) for c in self.changes],
            "left_out": list(self.left_out),
            "step": self.step,
            "progress": self.progress,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state_dict``."""
        self.steps, self.step, self.progress = int(state["steps"]), int(state["step"]), float(state["progress"])
        self.changes = [(int(a), int(b)) for a, b in state["changes"]]
        self.left_out = [int(number) for number in state.get("left_out", ())]
