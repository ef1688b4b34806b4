"""The Run: a folder that people can read.

Knows the names of the files in a run, and no verb: ``voxloom.verbs.run`` adds those.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.files import read_json
from voxloom.recipe.recipe import Recipe
from voxloom.runfiles import SUMMARY, CaseFiles, RunFold, held_out_tables, test_in, trained_folds


def cache_folder(run: Path) -> Path:
    """Where a run keeps its prepared cases; runs that lie beside each other share one folder."""
    return run.parent / "cache"


class Run:
    """A finished or unfinished training on disk.

    Parameters
    ----------
    folder : of the run.
    data : where its data set lies now; None takes the place where it lay when the run was trained.

    Raises
    ------
    BadInput : the folder is not a run.
    """

    def __init__(self, folder: str | Path, data: str | Path | None = None) -> None:
        self.folder = Path(folder)
        self._moved = None if data is None else Path(data)
        if not (self.folder / "recipe.yaml").is_file():
            raise BadInput("not a run (no recipe.yaml in it)", folder, "Make one: voxloom train DATASET -o RUN")

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe with every value written out; read once."""
        return Recipe.load(self.folder / "recipe.yaml")

    @property
    def data(self) -> dict[str, Any]:
        """``data.json``: the data set, its cases with file hashes, and which fold validated which case."""
        return _object(self.folder / "data.json")

    @property
    def patients(self) -> dict[str, str]:
        """Case -> patient of all its cases; a case of a run of an early version is a patient of its own."""
        return {case["id"]: str(case.get("patient", case["id"])) for case in self.data["cases"]}

    @property
    def data_root(self) -> Path:
        """Folder of the data set that the run was trained on (BadInput for a run that was shared without it)."""
        if self._moved is not None:
            return self._moved
        about = self.data
        if about.get("shared"):
            what = "the run was shared without its data set, which this needs"
            raise BadInput(what, self.folder, "Ask who shared it")
        return Path(about["dataset"]["root"])

    @property
    def folds(self) -> list[RunFold]:
        """The folds that have trained weights, by number.

        Raises
        ------
        BadInput : no fold has been trained yet.
        """
        trained = trained_folds(self.folder)
        if not trained:
            raise BadInput(
                "no fold has trained weights yet",
                self.folder,
                f"Go on with: voxloom train DATASET --resume -o {self.folder}",
            )
        return trained

    def fold(self, number: int) -> RunFold:
        """A fold by its number, trained or not."""
        return RunFold(number, self.folder)

    @property
    def fold_of(self) -> dict[str, RunFold]:
        """Case -> the fold that held it out, of the cases that one did."""
        return {case["id"]: self.fold(case["fold"]) for case in self.data["cases"] if case["fold"] is not None}

    @property
    def test(self) -> CaseFiles:
        """Where the last test set lies that the run was evaluated on."""
        return test_in(self.folder)

    @property
    def task(self) -> str:
        """Name of the task that was trained."""
        recipe = self.recipe
        return recipe.task or ("landmarks" if recipe.landmarks else "segmentation")  # runs before `task:` was written

    @property
    def held_out_tables(self) -> list[Path]:
        """``metrics.csv`` of every fold that held out cases.

        Raises
        ------
        BadInput : none did.
        """
        files = held_out_tables(self.folder)
        if not files:
            fix = f"Give a data set: voxloom evaluate {self.folder} DATASET"
            raise BadInput("the run has no held-out cases", self.folder, fix)
        return files

    @property
    def summary(self) -> dict[str, Any]:
        """``summary.json``: the figures on the validation cases, and on test sets that were evaluated."""
        path = self.folder / SUMMARY
        return _object(path) if path.is_file() else {}


def _object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of the run (BadInput when it is damaged)."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise BadInput("is not a JSON object", path, "Copy the run again")
    return value
