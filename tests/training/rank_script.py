"""What one of two processes does, started by torchrun: ``rank_script.py killed FOLDER`` or ``resumed FOLDER DATA``.

``killed`` compares gradients, trains into ``whole``, and then into ``cut``, where the second process dies at its seventh step.
``resumed`` goes on with ``cut``, and trains the data set by the command line. Findings are written as JSON beside the folders.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel

from tests.study.conftest import TINY
from tests.training.fakes import ball_training
from voxloom.cli.app import run
from voxloom.errors import VoxloomError
from voxloom.ranks import in_step, meet, part, ranks
from voxloom.training import callbacks
from voxloom.training.data import batch_at
from voxloom.training.fit import build_module, fit
from voxloom.training.pace import Pace

WRITTEN: list[str] = []


def note_writing(folder: Path) -> None:
    """Note every file below the folder that this process opens to write, or renames."""

    def heard(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            WRITTEN.append(str(arguments[0]))
        elif event == "os.rename":
            WRITTEN.append(str(arguments[1]))

    sys.addaudithook(heard)


def gradient_difference(folder: Path) -> float:
    """Norm of the difference of the two processes' gradient to that of one with both batches, over its norm; in float64."""
    job = ball_training(folder, batch=2)
    job = replace(job, network=job.network.model_copy(update={"dropout": 0.0}))
    batches = [batch_at(job.build_sampler(), step) for step in (0, 1)]
    together, alone = (build_module(job, Pace(1)).double() for _ in range(2))
    wrapped = DistributedDataParallel(together.network)
    image, target = together.augmented(batches[ranks().rank])
    with in_step(True):
        together.loss(wrapped(image.double()), target).backward()
    seen = [alone.augmented(batch) for batch in batches]
    alone.loss(alone.network(torch.cat([i for i, _ in seen]).double()), torch.cat([t for _, t in seen])).backward()
    pairs = list(zip(together.network.parameters(), alone.network.parameters(), strict=True))
    wrong = sum(float((a.grad - b.grad).pow(2).sum()) for a, b in pairs)
    return (wrong / sum(float(b.grad.pow(2).sum()) for _, b in pairs)) ** 0.5


def die_at(step: int):
    """A reporter that kills its process."""

    def report(now: int, *_: object) -> None:
        if now == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return report


def killed(root: Path) -> None:
    callbacks.SAVE_EVERY = 0.0
    found = {"gradient": gradient_difference(root / "none")}
    outcome = fit(ball_training(root / "whole", steps=10), device="cpu")
    tell(root, "whole", {**found, "weights": outcome.weights_sha256})
    second = ranks().rank == 1
    try:
        fit(ball_training(root / "cut", steps=10), device="cpu", reporter=die_at(7) if second else None)
    except VoxloomError as error:
        tell(root, "cut", {"error": str(error)})
        raise SystemExit(1) from error


def resumed(root: Path, data: Path) -> None:
    outcome = fit(ball_training(root / "cut", steps=10), device="cpu", resume=True)
    tell(root, "resumed", {"weights": outcome.weights_sha256})
    few = {**TINY, "training.steps": 4, "training.validations": 1, "augment": {}}
    changes = [word for key, value in few.items() if key != "augment" for word in ("--set", f"{key}={value}")]
    code = run(["train", str(data), "-o", str(root / "run"), *changes])
    tell(root, "run", {"code": code})


def tell(root: Path, name: str, found: dict[str, object]) -> None:
    """Write what this process found, and which files of the training it wrote."""
    inside = [path for path in WRITTEN if str(root) in path and not Path(path).name.startswith("rank_")]
    (root / f"rank_{ranks().rank}_{name}.json").write_text(json.dumps({**found, "written": inside}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    meet()
    kind, folder, *more = sys.argv[1:]
    note_writing(Path(folder))
    if kind == "killed":
        killed(Path(folder))
    else:
        resumed(Path(folder), Path(more[0]))
    part()
