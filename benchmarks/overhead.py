"""What a run costs beside its training: inspection, planning, preparation, held-out predictions, report.

    python benchmarks/overhead.py --budget 5m --folds 5 [--steps N] [--recipe YAML] [--data FOLDER] [--keep RUN]

Data: hippocampus of the Medical Segmentation Decathlon in $VOXLOOM_DATA (default ../shared/data), 200 labelled cases. Every second
of `voxloom train` belongs to one stage; the share is all stages but the training, divided by the training. Beside the seconds on
the wall stand those of the processor, which other work on the machine hardly changes. With --steps every fold takes that many
steps in place of a budget.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.recipe.recipe import Recipe
from voxloom.run.listener import Listener
from voxloom.verbs.train import train

TRAINING = "training"


class Clock:
    """Seconds per stage, on the wall and of the processor; what no stage claims is "other"."""

    def __init__(self) -> None:
        self.start = now()
        self.seconds: dict[str, np.ndarray] = {}

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        start = now()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, np.zeros(2)) + now() - start

    @contextlib.contextmanager
    def progress(self, name: str) -> Iterator[None]:
        with self.timed(name.lower()):
            yield None

    @contextlib.contextmanager
    def reporter(self, fold: int) -> Iterator[None]:
        with self.timed(TRAINING):
            yield None

    def shares(self) -> dict[str, Any]:
        """[wall, processor] seconds per stage, and what all but the training costs as a share of it."""
        whole = now() - self.start
        rest = whole - sum(self.seconds.values())
        seconds = {**self.seconds, "planning, report and other": rest, "all": whole}
        trained = self.seconds[TRAINING]
        return {
            "[wall, processor] seconds": {name: value.round(2).tolist() for name, value in seconds.items()},
            "beside training": ((whole - trained) / trained).round(4).tolist(),
        }


def now() -> np.ndarray:
    """Seconds on the wall, and of this process's processor time."""
    return np.array([time.perf_counter(), time.process_time()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = Path(os.environ.get("VOXLOOM_DATA", Path(__file__).parents[2] / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=shared / "hippocampus")
    parser.add_argument("--budget", default="5m")
    parser.add_argument("--recipe", default="auto", help="YAML file, or the name of a shipped recipe")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder of the run; it is kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="voxloom-bench-") as scratch:
        out = arguments.keep or Path(scratch) / "run"
        clock = Clock()
        recipe = Recipe.load(arguments.recipe).changed({"training.steps": arguments.steps} if arguments.steps else {})
        listener = Listener(progress=clock.progress, reporter=clock.reporter)
        train(
            arguments.data,
            recipe,
            out=out,
            budget=None if arguments.steps else arguments.budget,
            folds=arguments.folds,
            seed=arguments.seed,
            device="cpu",
            listener=listener,
        )
        print(json.dumps(clock.shares(), indent=2))


if __name__ == "__main__":
    main()
