"""``last.ckpt``: all that a training needs to continue bit for bit, as tensors and plain numbers.

Knows what is saved. Read with ``weights_only=True``: a file with any other pickled object is refused.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from voxloom.errors import BadInput
from voxloom.files import atomic_path
from voxloom.training.log import TrainingLog
from voxloom.training.module import TrainingModule


def save_checkpoint(
    path: Path, module: TrainingModule, optimizer: Optimizer, log: TrainingLog, clock: dict[str, float]
) -> None:
    """Write network, average of the weights, optimiser, pace, log and clock; whole or not at all."""
    state = {
        "network": module.network.state_dict(),
        "module": module.progress_state(),
        "optimizer": optimizer.state_dict(),
        "log": log.rows,
        "clock": clock,
    }
    content = io.BytesIO()
    torch.save(state, content)
    with atomic_path(path) as temporary:  # a full disk is then an OSError that says so
        temporary.write_bytes(content.getbuffer())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without running any code in it.

    Raises
    ------
    BadInput : the file is damaged, or carries objects other than tensors, numbers, text and containers of them.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        missing = {"network", "module", "optimizer", "log", "clock"} - set(state)
    except pickle.UnpicklingError as error:
        raise BadInput(
            "the checkpoint carries a pickled object that could run code; it was not loaded",
            path,
            "Use only checkpoints that Voxloom wrote; delete this file to train the fold anew",
        ) from error
    except Exception as error:  # a damaged file lets the unpickler raise nearly anything
        raise BadInput("the checkpoint is damaged", path, "Delete it to train the fold anew") from error
    if missing:
        raise BadInput(f"the checkpoint lacks {', '.join(sorted(missing))}", path, "Delete it to train the fold anew")
    return dict(state)


def restore(state: dict[str, Any], module: TrainingModule, log: TrainingLog) -> None:
    """Put network, averages, pace and log back; the optimiser's state follows when Lightning has made it."""
    module.network.load_state_dict(state["network"])
    module.load_progress_state(state["module"])
    module.optimizer_state = state["optimizer"]
    log.restore(state["log"])
