"""The Run: a folder that people can read, and what can be asked of it.

Knows the names of the files in a run. Training, prediction, evaluation and export live in the modules beside it; the
methods here are the same verbs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxloom.errors import BadInput
from voxloom.files import read_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from voxloom.dataset import Dataset
    from voxloom.points import Point
    from voxloom.study.evaluation import RunEvaluation
    from voxloom.study.landmarks.evaluate import LandmarkEvaluation
    from voxloom.study.predicted import On
    from voxloom.study.recipe import Recipe
    from voxloom.volume import Volume


def is_landmark_run(folder: Path) -> bool:
    """Whether a folder is a run that was trained on points; False for anything else."""
    return (folder / "recipe.yaml").is_file() and Run(folder).is_landmarks


def cache_folder(run: Path) -> Path:
    """Where a run keeps its prepared cases; runs that lie beside each other share one folder."""
    return run.parent / "cache"


class Run:
    """A finished or unfinished training on disk.

    Parameters
    ----------
    folder : of the run.

    Raises
    ------
    BadInput : the folder is not a run.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / "recipe.yaml").is_file():
            raise BadInput("not a run (no recipe.yaml in it)", folder, "Make one: voxloom train DATASET -o RUN")

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @property
    def recipe(self) -> Recipe:
        """The recipe with every value written out."""
        from voxloom.study.recipe import Recipe

        return Recipe.load(self.folder / "recipe.yaml")

    @property
    def data(self) -> dict[str, Any]:
        """``data.json``: the data set, its cases with file hashes, and which fold validated which case."""
        return _object(self.folder / "data.json")

    @property
    def data_root(self) -> Path:
        """Folder of the data set that the run was trained on (BadInput for a run that was shared without it)."""
        about = self.data
        if about.get("shared"):
            raise BadInput(
                "the run was shared without its data set, which this needs", self.folder, "Ask who shared it"
            )
        return Path(about["dataset"]["root"])

    @property
    def folds(self) -> list[Path]:
        """Folders of the folds that have trained weights, in order.

        Raises
        ------
        BadInput : no fold has been trained yet.
        """
        folders = sorted(self.folder.glob("fold_*"), key=lambda p: int(p.name.split("_")[1]))
        trained = [f for f in folders if (f / "model.safetensors").is_file()]
        if not trained:
            raise BadInput(
                "no fold has trained weights yet",
                self.folder,
                f"Go on with: voxloom train DATASET --resume -o {self.folder}",
            )
        return trained

    @property
    def is_landmarks(self) -> bool:
        """Whether the run was trained on points."""
        return bool(self.recipe.landmarks)

    @property
    def summary(self) -> dict[str, Any]:
        """``summary.json``: the figures on the validation cases, and on test sets that were evaluated."""
        path = self.folder / "summary.json"
        return _object(path) if path.is_file() else {}

    def predict(self, source: str | Path | Volume) -> Volume:
        """Label map of one scan on its own grid, in the data set's label values, shape (1, I, J, K).

        Raises BadInput for a run that was trained on points: ``predict_points``.
        """
        self.ask("predict label maps")
        from voxloom.study.predict import Predictor

        return Predictor.of(self).predict(source)

    def evaluate(self, data: str | Path | Dataset | None = None) -> RunEvaluation | LandmarkEvaluation:
        """Figures on another data set, or on the validation cases of the run; of its points, if it was trained on points."""
        if self.is_landmarks:
            from voxloom.study.landmarks.evaluate import evaluate_landmarks

            return evaluate_landmarks(self.folder, data)
        from voxloom.study.evaluation import evaluate_run

        return evaluate_run(self.folder, data)

    def predict_points(self, source: str | Path | Volume) -> tuple[Point, ...]:
        """Points of one scan in RAS mm, by a run that was trained on points."""
        from voxloom.study.landmarks.predict import LandmarkPredictor

        return LandmarkPredictor.of(self).predict(source)

    def ask(self, verb: str) -> None:
        """Raise BadInput where the run cannot do what a verb stands for; see ``voxloom.study.abilities``."""
        from voxloom.study.abilities import ask

        ask(verb, self.folder, self.is_landmarks)

    def report(self, path: str | Path | None = None) -> Path:
        """Write ``report.html``, self-contained."""
        if self.is_landmarks:
            from voxloom.study.landmarks.evaluate import report_landmarks

            return report_landmarks(self.folder, Path(path) if path is not None else None)
        from voxloom.study.evaluation import report_run

        return report_run(self.folder, Path(path) if path is not None else None)

    def export(self, path: str | Path, to: str = "monai") -> Path:
        """Write the run as a MONAI bundle."""
        from voxloom.study.export import export_run

        return export_run(self, Path(path), to)

    def show_batch(self, path: str | Path | None = None, *, step: int = 0) -> Figure:
        """Picture of one training batch after augmentation, with label contours; also written to ``path``."""
        from voxloom.study.show import show_batch

        return show_batch(self, Path(path) if path is not None else None, step=step)

    def show_results(
        self, path: str | Path | None = None, *, cases: Sequence[str] | None = None, on: On = "held-out"
    ) -> Figure:
        """Picture of held-out (or test) cases with the contours of truth and prediction; also written to ``path``."""
        from voxloom.study.show import show_results

        return show_results(self, Path(path) if path is not None else None, cases=cases, on=on)


def _object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of the run (BadInput when it is damaged)."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise BadInput("is not a JSON object", path, "Copy the run again")
    return value
