"""Workers that need no training: a trial's score is computed from its levels. And a murder weapon for real ones."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from voxloom.sweep.trial import Job, Record, run_trial

Score = Callable[[dict[str, Any]], float | str]


@dataclass
class FakeWorkers:
    """Writes the record that a training would; a text instead of a score is the error of a failed run."""

    score: Score
    slots: int = 1
    stop_after: int | None = None
    jobs: list[Job] = field(default_factory=list)
    waiting: list[Job] = field(default_factory=list)

    def free(self) -> bool:
        return len(self.waiting) < self.slots

    def submit(self, job: Job) -> None:
        self.jobs.append(job)
        self.waiting.append(job)
        Record(job.number, job.levels, job.changes, "running").write(job.record)

    def wait(self) -> list[tuple[Job, str | None]]:
        if self.stop_after is not None and len(self.jobs) > self.stop_after:
            raise KeyboardInterrupt
        job = self.waiting.pop()
        result = self.score(job.levels)
        if isinstance(result, str):
            if result == "died":
                return [(job, "its process died")]
            Record(job.number, job.levels, job.changes, "failed", error=result).write(job.record)
        else:
            scores = {"score": result, "dice.a": result}
            Record(job.number, job.levels, job.changes, "finished", scores=scores, seconds=1.5).write(job.record)
        return [(job, None)]

    def close(self) -> None:
        pass


def kill_in_second_fold(job: Job) -> None:
    """Wait until the trial has finished a fold, then kill its process."""
    while not (job.run / "fold_0" / "last.ckpt").is_file() or not (job.run / "fold_1").is_dir():
        assert not job.record.is_file() or Record.read(job.record).status == "running", "the trial ended too early"
        time.sleep(0.2)
    os.kill(Record.read(job.record).process, signal.SIGKILL)


@dataclass
class Here:
    """Carries trials out in this process, one at a time."""

    ended: list[Job] = field(default_factory=list)

    def free(self) -> bool:
        return not self.ended

    def submit(self, job: Job) -> None:
        run_trial(job)
        self.ended.append(job)

    def wait(self) -> list[tuple[Job, str | None]]:
        return [(self.ended.pop(), None)]

    def close(self) -> None:
        pass
