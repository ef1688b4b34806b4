"""Trainings: each is a ``voxloom train`` of its own, started here, watched by its files, stopped so that it can be resumed.

One at a time; others wait. What a training is (its command line and where it writes) is kept on disk, so that a service that was
started again lists it and can resume it.
"""

from __future__ import annotations

import contextlib
import csv
import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from voxloom.errors import BadInput
from voxloom.files import read_json, write_json, write_text
from voxloom.recipe.duration import seconds_of
from voxloom.recipe.shipped import recipe_names
from voxloom.runfiles import SUMMARY, logged_folds
from voxloom.serve.jobs import Board, Job
from voxloom.serve.refusals import Conflict
from voxloom.yamltext import read_text, read_yaml

#: Seconds between two looks at the files of a training, and that one has to save itself before it is killed.
LOOK, PATIENCE = 1.0, 120.0
#: Exit code of a training that was stopped and can be resumed.
_STOPPED = 130


@dataclass(frozen=True)
class TrainingOrder:
    """What is trained.

    Parameters
    ----------
    name : of the run, safe as a file name.
    data : a table or folder that ``voxloom train`` takes.
    out : folder of the run.
    budget : e.g. "10m".
    words : further words of the command line: recipe, changes.
    cases : number of annotated cases that it learns from.
    """

    name: str
    data: Path
    out: Path
    budget: str
    words: tuple[str, ...]
    cases: int

    def command(self, resume: bool) -> list[str]:
        """The command line."""
        line = [sys.executable, "-m", "voxloom", "train", str(self.data), "-o", str(self.out), "--budget", self.budget]
        return [*line, *(["--resume"] if resume else self.words)]


class Trainings:
    """Trainings of a service, one at a time.

    Parameters
    ----------
    folder : where orders and their output are kept.
    board : of the jobs, shared with the engine.
    trained : told name and folder of a run that is ready.
    """

    def __init__(self, folder: Path, board: Board, trained: Callable[[str, Path], None]) -> None:
        self.folder, self.board, self._trained = folder, board, trained
        self._orders: dict[str, TrainingOrder] = {}
        self._waiting: queue.Queue[tuple[str, bool] | None] = queue.Queue()
        self._process: subprocess.Popen[bytes] | None = None
        self._at_work: str | None = None
        self._stopping = self._closing = False
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._take_up()
        self._thread = threading.Thread(target=self._lead, name="voxloom-trainings", daemon=True)
        self._thread.start()

    def start(self, order: TrainingOrder) -> Job:
        """Queue a training (Conflict where the name is taken)."""
        with self._lock:
            if order.out.exists() or (self.folder / f"{order.name}.json").exists():
                raise Conflict("there is a run of that name", "name", "Choose another, or resume it")
            job = self._listed(order)
            self._keep(order, job.id)
        self._waiting.put((job.id, False))
        return job

    def stop(self, name: str) -> bool:
        """Stop a training; one at work saves itself first. False where it had ended."""
        self._order(name)
        with self._lock:
            if self._at_work == name and self._process is not None:
                self._stopping = True
                self._process.send_signal(signal.SIGTERM)  # SIGINT is ignored by what a script starts with &
                return True
            return self.board.cancel(name, "Stopped before it began; it can be resumed")

    def resume(self, name: str) -> Job:
        """Go on with a training that was stopped or failed (Conflict where it runs or is done)."""
        order, job = self._order(name), self.board.get(name)
        if job.state not in ("cancelled", "failed"):
            raise Conflict(f"the training is {job.state}", "job", "Only one that was stopped can be resumed")
        self.board.queue_again(name)
        self._waiting.put((name, (order.out / "recipe.yaml").is_file()))
        return self.board.get(name)

    def log(self, name: str) -> list[dict[str, Any]]:
        """Rows of ``log.csv`` of every fold: fold, step, seconds, loss, score and whatever else was logged."""
        return [row for fold in logged_folds(self._order(name).out) for row in log_rows(fold.number, fold.log)]

    def is_training(self, name: str) -> bool:
        """Whether a job is one of the trainings."""
        return name in self._orders

    def orders(self) -> list[TrainingOrder]:
        """All trainings that were ordered, also those that never began."""
        return list(self._orders.values())

    def close(self) -> None:
        """Stop the training at work, so that it can be resumed, and no other begins."""
        self._waiting.put(None)
        with self._lock:
            process, self._stopping, self._closing = self._process, True, True
            if process is not None:
                process.send_signal(signal.SIGTERM)
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
            if process.poll() is None:
                process.kill()
        self._thread.join(timeout=10)

    def _order(self, name: str) -> TrainingOrder:
        if name not in self._orders:
            raise BadInput("the job is not a training", "job", "List the jobs of kind train")
        return self._orders[name]

    def _listed(self, order: TrainingOrder) -> Job:
        job = self.board.add("train", {"run": order.name, "budget": order.budget, "cases": order.cases})
        self._orders[job.id] = order
        return job

    def _keep(self, order: TrainingOrder, job: str) -> None:
        about = {
            "name": order.name, "data": str(order.data), "out": str(order.out), "budget": order.budget,
            "words": list(order.words), "cases": order.cases, "job": job,
        }  # fmt: skip
        write_json(self.folder / f"{order.name}.json", about)

    def _take_up(self) -> None:
        """List the trainings of an earlier service: done, or waiting to be resumed."""
        for path in sorted(self.folder.glob("*.json")):
            about = read_json(path)
            places = Path(about["data"]), Path(about["out"])
            order = TrainingOrder(about["name"], *places, about["budget"], tuple(about["words"]), about["cases"])
            job = self._listed(order)
            if (order.out / SUMMARY).is_file():
                self.board.finish(job.id, {"run": order.name})
                self._trained(order.name, order.out)
            else:
                self.board.cancel(job.id, "The service was stopped; it can be resumed")

    def _lead(self) -> None:
        while (found := self._waiting.get()) is not None:
            name, resume = found
            if not self._closing and self.board.start(name):
                self._train(name, resume)

    def _train(self, name: str, resume: bool) -> None:
        """Run one training to its end."""
        order = self._orders[name]
        output = self.folder / f"{order.name}.txt"
        with output.open("ab") as file, self._lock:
            if self._closing:
                self.board.cancel(name, "The service was stopped; it can be resumed")
            if self.board.get(name).has_ended:  # between its turn and its process somebody stopped it, or the service
                return
            self._stopping = False
            # A session of its own: Ctrl-C at the service's terminal is passed on once, by ``close``.
            self._process = subprocess.Popen(
                order.command(resume),
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._at_work = name
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(LOOK)
                break
            self.board.tell(name, *how_far(order))
        with self._lock:
            code, self._process, self._at_work = self._process.returncode, None, None
            stopped = self._stopping
        if code == 0:
            self._trained(order.name, order.out)
            self.board.finish(name, {"run": order.name})
        elif stopped or code == _STOPPED:
            self.board.cancel(name, "Stopped; it can be resumed")
        else:
            self.board.fail(name, {"what": last_line(output), "where": None, "fix": None})


def how_far(order: TrainingOrder) -> tuple[float, str]:
    """Share of the budget that is used, and a sentence."""
    folds = logged_folds(order.out)
    rows = [row for fold in folds for row in log_rows(fold.number, fold.log)]
    if not rows:
        return 0.0, "Preparing"
    used = sum(max((row["seconds"] for row in rows if row["fold"] == fold.number), default=0.0) for fold in folds)
    last = rows[-1]
    scores = [f"{key.removeprefix('val_')} {last[key]:.3f}" for key in last if key.startswith("val_")][:1]
    text = ", ".join([f"Fold {last['fold']}", f"step {int(last['step'])}", f"loss {last['train_loss']:.3f}", *scores])
    share = used / max(seconds_of(order.budget), 1e-9)
    if share >= 1 or finished_folds(order.out):
        return min(share, 0.95), "Evaluating"
    return share, text


def finished_folds(run: Path) -> bool:
    """Whether every fold has been trained: then the run is evaluated."""
    return (run / "repeat.yaml").is_file()


def log_rows(fold: int, path: Path) -> list[dict[str, Any]]:
    """The rows of a log as numbers, with the number of their fold; what is not a number is left out."""
    rows = []
    with contextlib.suppress(OSError), path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            numbers = {key: value for key, text in row.items() if (value := _number(text)) is not None}
            rows.append({"fold": fold, **numbers})
    return rows


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if value == value and abs(value) != float("inf") else None


def last_line(output: Path) -> str:
    """The error that a command printed last."""
    lines = output.read_text("utf-8", errors="replace").splitlines()
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return errors[-1] if errors else "the training ended without a word; see its output in the state folder"


def recipe_words(recipe: str | None, start: Path | None, labels: Any, scratch: Path) -> Sequence[str]:
    """Words of a command line: the recipe, its labels, and the run whose weights are taken first.

    Parameters
    ----------
    recipe : name of a shipped recipe; None takes that of ``start``, or "auto".
    start : folder of a run.
    labels : {name: value or values}; None leaves them to the data.
    scratch : where a changed recipe may be written.
    """
    if recipe is not None and recipe not in recipe_names():
        raise BadInput("there is no such recipe", "recipe", "List them: GET /api/recipes")
    words = ["-r", recipe or "auto"]
    if start is not None and recipe is None:
        changed = read_yaml(read_text(start / "recipe.yaml"), start / "recipe.yaml")
        changed["init"] = {"run": str(start.resolve()), "part": "all"}
        for key in ("budget", "pace", "left_out", "folds", "data"):  # of the other run's cases
            changed.pop(key, None)
        write_text(scratch, yaml.safe_dump(changed, sort_keys=False, allow_unicode=True))
        words = ["-r", str(scratch)]
    return [*words, *(["--set", f"data.labels={json.dumps(labels)}"] if labels else [])]
