"""Where the figures of a training go beside ``log.csv``: TensorBoard always, and the trackers that a recipe names.

Knows Lightning's loggers; one callback (``Validate``) tells all of them the same figures. A training that goes on continues the runs
of its trackers, whose ids lie in ``trackers.json`` beside the weights. Nothing leaves this machine unless the user has said where
to: MLflow writes below the run, or to ``MLFLOW_TRACKING_URI``; Weights & Biases is offline, or as ``WANDB_MODE`` says.
"""

from __future__ import annotations

import json
import os
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from voxloom.errors import MissingExtra
from voxloom.files import read_json, write_json

Tracker = Literal["jsonl", "mlflow", "wandb"]
#: Tracker -> what people call it, and the module that it needs; the extra has the tracker's name.
_NEEDS = {"mlflow": ("MLflow", "mlflow"), "wandb": ("Weights & Biases", "wandb")}
#: Ids of a training's runs, by tracker; figures as JSON lines.
IDS, LINES = "trackers.json", "metrics.jsonl"


def refuse_absent(names: Sequence[str]) -> None:
    """Refuse trackers whose package is not installed (MissingExtra naming the extra)."""
    for name in names:
        part, module = _NEEDS.get(name, ("", ""))
        if module and find_spec(module) is None:
            raise MissingExtra(part, name)


def loggers(folder: Path, names: Sequence[Tracker], settings: Mapping[str, Any]) -> list[Logger]:
    """Lightning's loggers of a training: TensorBoard, and those that are named.

    Parameters
    ----------
    folder : of the fold; files of trackers go into it.
    settings : of the training, told to every tracker once.

    Raises
    ------
    MissingExtra : a tracker's package is not installed.
    """
    refuse_absent(names)
    found: list[Logger] = [TensorBoardLogger(folder, name="", version="tensorboard")]
    made = {"jsonl": _lines, "mlflow": _mlflow, "wandb": _wandb}
    for name in names:
        logger = made[name](folder)
        logger.log_hyperparams(dict(settings))
        found.append(logger)
    return found


class JsonLines(Logger):
    """Appends ``{"time": ..., "step": ..., NAME: VALUE, ...}`` to a file; of two lines of one step, left by a kill, the last holds.

    Parameters
    ----------
    path : of the file; ``time`` is in seconds since 1970.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    @property
    def name(self) -> str:
        """Of the tracker."""
        return "jsonl"

    @property
    def version(self) -> str:
        """One file has one version."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any) -> None:
        """A line with the settings, where the file begins."""
        if not self.path.exists():
            self._append({"settings": params if isinstance(params, dict) else vars(params)})

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """A line with figures."""
        self._append({"step": step, **{name: float(value) for name, value in metrics.items()}})

    def _append(self, values: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": round(time.time(), 3), **values}, default=str) + "\n")


def _lines(folder: Path) -> Logger:
    return JsonLines(folder / LINES)


def _mlflow(folder: Path) -> Logger:
    """An MLflow run per fold, in an experiment named after the run."""
    from lightning.pytorch.loggers import MLFlowLogger

    home = os.environ.get("MLFLOW_TRACKING_URI") or f"file:{(folder.parent / 'mlruns').absolute()}"
    if home.startswith("file:"):  # MLflow asks to be told that its file store is meant
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    known = _ids(folder).get("mlflow")
    logger = MLFlowLogger(folder.absolute().parent.name, run_name=folder.name, tracking_uri=home, run_id=known)
    _keep(folder, "mlflow", str(logger.run_id))
    return logger


def _wandb(folder: Path) -> Logger:
    """A run per fold, in a project named after the run; offline unless the environment says otherwise."""
    from lightning.pytorch.loggers import WandbLogger

    known = _ids(folder).get("wandb") or uuid4().hex[:8]
    _keep(folder, "wandb", known)
    offline = os.environ.get("WANDB_MODE", "offline") != "online"
    project = folder.absolute().parent.name
    return WandbLogger(name=folder.name, project=project, save_dir=folder, offline=offline, id=known, resume="allow")


def _ids(folder: Path) -> dict[str, str]:
    path = folder / IDS
    return dict(read_json(path)) if path.is_file() else {}


@rank_zero_only
def _keep(folder: Path, name: str, known: str) -> None:
    write_json(folder / IDS, {**_ids(folder), name: known})
