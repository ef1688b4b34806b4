"""The contract: what a task tells the verbs, so that there is one train, one predict, one evaluate for all of them.

A task says which cases it can use and what their targets are, plans, describes a training, predicts, writes and scores. The verbs
own the order of things, files and folders. A task of one's own is a module with an object that has these members; a recipe names it
``task: mypackage.mytask:TASK``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from voxloom.attribution import Explainable
from voxloom.dataset import Case, Dataset, Fold, Labels
from voxloom.dataset.inspect import Fingerprint
from voxloom.errors import BadInput
from voxloom.evaluation.paired import Comparison
from voxloom.formats.dicom.results.terms import Findings
from voxloom.own import is_own, offered, own_part
from voxloom.prepare import PreparedCase, Statistics
from voxloom.recipe.recipe import Recipe
from voxloom.run.matching import MatchedCases
from voxloom.run.run import Run
from voxloom.run.scans import Scan
from voxloom.runfiles import RunFold
from voxloom.tasks.panels import Shown
from voxloom.tasks.settings import Settings
from voxloom.tasks.stressed import StressTest
from voxloom.tasks.values import Calibrated, Example, Extras, Features, Material, Planned, Predictor, Table
from voxloom.tasks.wish import PLAIN, Wish
from voxloom.training.job import Job
from voxloom.volume import Volume

if TYPE_CHECKING:
    from voxloom.tasks.predicted import PredictedCases
    from voxloom.tasks.study import Study

#: Tasks that come with Voxloom.
TASKS = {
    "segmentation": "voxloom.tasks.segmentation.task:TASK",
    "landmarks": "voxloom.tasks.landmarks.task:TASK",
    "classification": "voxloom.tasks.classification.task:TASK",
    "regression": "voxloom.tasks.regression.task:TASK",
}
#: Entry points under which packages offer tasks.
GROUP = "voxloom.tasks"


class Task(Protocol):
    """One thing that can be learned."""

    @property
    def name(self) -> str:
        """Stands in recipe, ``model.json`` and ``summary.json``."""
        ...

    @property
    def ending(self) -> str:
        """Of the predictions that a run keeps."""
        ...

    @property
    def trained_on(self) -> str:
        """What its runs learned from, in words: "label maps", "points"."""
        ...

    @property
    def cannot(self) -> Mapping[str, str]:
        """Verb of ``voxloom.tasks.abilities`` -> what its runs cannot do, and what to do instead."""
        ...

    @property
    def unused(self) -> Mapping[str, str]:
        """Dotted recipe key that its trainings do not use -> why."""
        ...

    @property
    def section(self) -> str | None:
        """The recipe section of its own; None where it has none."""
        ...

    @property
    def settings(self) -> type[BaseModel] | None:
        """The keys of that section."""
        ...

    def material(self, dataset: Dataset, recipe: Recipe, about: Mapping[str, Any] | None = None) -> Material:
        """The training cases that it can use.

        Parameters
        ----------
        about : ``data.json``'s data set where a run is opened again: what was settled when it was started holds.
        """
        ...

    def annotated(self, case: Case) -> bool:
        """Whether a case has what a prediction can be compared with."""
        ...

    @property
    def needed(self) -> str:
        """What an annotated case has, in words: "a label", "points"."""
        ...

    @property
    def remedy(self) -> str:
        """How a data set comes by it."""
        ...

    def matched(
        self, recipe: Recipe, labels: Labels | None, channels: Sequence[str], dataset: Dataset, cases: Sequence[Case]
    ) -> MatchedCases:
        """Cases of another data set in the terms of a run (BadInput where they contradict it)."""
        ...

    def settled(self, recipe: Recipe, material: Material) -> tuple[Recipe, str | None]:
        """The recipe without what contradicts the targets (e.g. mirror images that exchange labels), and what to say of it."""
        ...

    def check_folds(self, material: Material, folds: Sequence[Fold]) -> list[str]:
        """What a user must know of the targets and the parts before anything is trained.

        Raises
        ------
        BadInput : a part cannot be learned from, e.g. since a class has no case in it.
        """
        ...

    def describe(self, material: Material) -> dict[str, Any]:
        """What ``data.json`` holds of the targets; ``material`` takes it back."""
        ...

    def plan(
        self, material: Material, recipe: Recipe, found: Fingerprint, device: str, seconds: float | None
    ) -> Planned:
        """Fill what the recipe leaves open.

        Parameters
        ----------
        found : facts of the cases.
        seconds : time for the training of one network; None without a budget.
        """
        ...

    def resolve(self, recipe: Recipe) -> Settings:
        """The settings objects of a complete recipe."""
        ...

    def job(
        self, study: Study, number: int, prepared: Mapping[str, PreparedCase], statistics: Statistics | None
    ) -> Job:
        """The training of one fold."""
        ...

    def load(self, folds: Sequence[RunFold], *, device: str = "auto") -> Predictor:
        """The networks of folds alone, without what a run decided after its validation."""
        ...

    def open(self, run: Run, wish: Wish = PLAIN) -> Predictor:
        """All folds of a run, with what was decided on its held-out cases."""
        ...

    def told(self, predictor: Any) -> dict[str, Any]:
        """What a user must know of how these networks predict: entry of the JSON result -> value; texts are said on the screen."""
        ...

    def remarks(self, prediction: Any) -> tuple[str | None, dict[str, Any]]:
        """What a user must know of one prediction: a line, and entries of the JSON result."""
        ...

    def predict(self, predictor: Any, volume: Volume) -> Any:
        """The answer for a scan, as it is written and scored."""
        ...

    def features(self, predictor: Any) -> Features | None:
        """What scans look like to the networks; None for a task whose networks have nothing to compare by."""
        ...

    def focus(self, predictor: Any, volume: Volume, around: Path) -> Volume:
        """What of a scan is looked at, by the mask or point in a file (BadInput for a task that looks at all of it)."""
        ...

    def predict_case(self, predictor: Any, case: Case) -> Any:
        """The answer for a case of a data set, which may know more than its image."""
        ...

    def ending_of(self, scan: Scan, wanted: str | None) -> str:
        """The format in which the prediction of a scan is written (BadInput for one that cannot hold it)."""
        ...

    def measure(self, run: Run, predictor: Any, predictions: Sequence[Path], out: Path) -> list[Path]:
        """What is measured on new predictions where the recipe asks for it; the files written."""
        ...

    def write(self, prediction: Any, folder: Path, name: str, ending: str | None = None) -> Path:
        """Write a prediction; without an ending in the form that a run keeps."""
        ...

    def extras(
        self, predictor: Any, volume: Volume, prediction: Any, out: Path, name: str, wanted: Extras
    ) -> list[Path]:
        """What is written beside the prediction of one scan where a user asks for it; asked only for what ``cannot`` leaves."""
        ...

    def findings(self, predictor: Any, volume: Volume, prediction: Any, probabilities: bool = False) -> Findings:
        """What a prediction says of its scan, for DICOM results; asked only for what ``cannot`` leaves.

        Parameters
        ----------
        probabilities : of a task that outlines, the networks' probabilities too.
        """
        ...

    def table(self, predictor: Any) -> Table:
        """An empty table for the answers of networks."""
        ...

    def read_table(self, paths: Sequence[Path], run: Run) -> Table:
        """The rows of ``metrics.csv`` files of a run."""
        ...

    def measure_again(self, run: Run, wish: Wish) -> Table:
        """The held-out cases of a run, measured as ``wish.measures`` says; asked only of a task that can "evaluate --metrics"."""
        ...

    def score(self, table: Any, case: Case, prediction: Any, predictor: Any, labels: Labels | None) -> list[str]:
        """Add the rows of one case; what a reader must know of it.

        Parameters
        ----------
        labels : what the values of the true label maps mean; None takes the networks' own.
        """
        ...

    def settle(self, study: Study, scored: Mapping[str, Any]) -> tuple[dict[str, Table], dict[str, Any]]:
        """Decide on the held-out cases what new predictions go through; predictions on disk may change.

        Parameters
        ----------
        scored : table by the name of the fold.

        Returns
        -------
        The tables that hold now, and entries of ``summary.json``.
        """
        ...

    def spread(self, scored: Mapping[str, Any]) -> dict[str, Any]:
        """Entries of the validation's summary on how the folds differ; empty where that is not measured."""
        ...

    def explainable(self, run: Run, folds: Sequence[RunFold], device: str = "auto") -> Explainable:
        """The networks of some folds, and what of their answers can be explained; not asked of a task that cannot "explain"."""
        ...

    def examples(self, table: Any) -> list[Example]:
        """Held-out cases that a report shows with maps of attribution: the worst first, then some that are right."""
        ...

    def figures(
        self, run: Run, labels: Labels | None, cases: Sequence[Case], folder: Path, predictions: Mapping[str, Path]
    ) -> dict[str, Any]:
        """Further figures of scored cases for their summary, e.g. of single structures; their tables go into ``folder``."""
        ...

    def cards(self, run: Path) -> None:
        """Write the cards of a run: ``model_card.md`` and what else is said of it; nothing for a task that has none."""
        ...

    def report(self, run: Path) -> Path:
        """Write ``report.html`` and the cards of a run."""
        ...

    @property
    def title(self) -> str:
        """Of the table of figures, e.g. "Dice"."""
        ...

    def rows(self, summary: Mapping[str, Any] | None) -> list[list[str]]:
        """Figures of a summary for the screen, with a header row; None where no case was held out."""
        ...

    def details(self, summary: Mapping[str, Any]) -> list[list[str]]:
        """All figures of an evaluation for the screen, with a header row."""
        ...

    @property
    def main_score(self) -> str:
        """What a sweep compares where it does not say."""
        ...

    @property
    def scores(self) -> Mapping[str, Any]:
        """Scores that a sweep may compare, with their directions (``voxloom.evaluation.scores``)."""
        ...

    @property
    def calibrates(self) -> bool:
        """Whether ``calibrate`` is its own; otherwise its runs learn to predict their Dice (``voxloom.trust.quality``)."""
        ...

    def calibrate(self, run: Run, table: Any, promise: float, name: str, cases: Sequence[Case] = ()) -> Calibrated:
        """Learn from scored cases what answers are worth, and keep it in the run.

        Parameters
        ----------
        table : scores of answers as the networks give them, before any calibration.
        promise : chance with which sets or intervals are to hold the truth.
        name, cases : of the data set; no cases where they are the run's own held-out ones.
        """
        ...

    def batch_panels(
        self, study: Study, images: NDArray[Any], targets: NDArray[Any], spacing: NDArray[Any]
    ) -> list[Shown]:
        """What a training batch shows, image by image.

        Parameters
        ----------
        images : (B, C, I, J[, K]) as the network sees them.
        targets : as the loss sees them.
        spacing : (B, 3) mm of the grid of each.
        """
        ...

    def result_panels(self, held: PredictedCases, cases: Sequence[str]) -> list[Shown]:
        """Truth and prediction of cases, as ``show results`` draws them."""
        ...

    @property
    def stress(self) -> StressTest | None:
        """What is measured while scans get worse; None for a task that has no such test."""
        ...

    @property
    def comparison(self) -> Comparison | None:
        """How ``metrics.csv`` of its runs are compared; None for a task that cannot compare."""
        ...

    def sweep_scores(self, summary: Mapping[str, Any], score: str) -> dict[str, float | None]:
        """The figure that a sweep compares under ``score``, and further ones; BadInput where there is no such figure."""
        ...


def task_named(name: str) -> Task:
    """A task that comes with Voxloom, of an installed package (entry point ``voxloom.tasks``), or named ``package.module:OBJECT``.

    Raises
    ------
    BadInput : there is none.
    """
    place = TASKS.get(name) or name
    if name not in TASKS and not is_own(name, GROUP):
        known = ", ".join([*TASKS, *offered(GROUP)])
        raise BadInput(
            f"there is no task `{name}`", "`task:` of the recipe", f"Known: {known}; or package.module:OBJECT"
        )
    task: Task = own_part(place, GROUP, "task")
    return task


def task_of(run: Run) -> Task:
    """The task of a run."""
    return task_named(run.task)


@contextlib.contextmanager
def watched(task: Task, predictor: Any) -> Iterator[list[NDArray[np.float32]]]:
    """While the block predicts one scan: rows whose mean is what it looks like to the networks; none where they do not show it."""
    features = task.features(predictor)
    with contextlib.nullcontext([]) if features is None else features.watch() as seen:
        yield seen
