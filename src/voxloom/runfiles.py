"""Where the files of a run lie: its folds in the order of their numbers, and what is written of cases that were predicted.

Knows names only, and reads no file: reports, trainings and runs ask here, so that ``fold_3/predictions/CASE.nii.gz`` is spelt once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

#: Weights of a network, what describes it, the rows of its training, and what its training goes on from.
WEIGHTS, DESCRIPTION, LOG, CHECKPOINT = "model.safetensors", "model.json", "log.csv", "last.ckpt"
#: What its cases look like to a network, kept to compare new scans with.
FEATURES = "features.npz"
#: Figures of cases, and what ``SUMMARY`` of a run says of all of them.
TABLE, SUMMARY = "metrics.csv", "summary.json"
#: The figures of an evaluation that is kept in a folder of its own.
STATISTICS = "statistics.json"
#: Predictions of label maps and of points.
LABEL_MAP, POINTS = ".nii.gz", ".csv"
#: Label maps of pictures, in the place of ``LABEL_MAP``.
PICTURE = ".png"
_FOLD = re.compile(r"fold_(\d+)")


@dataclass(frozen=True)
class CaseFiles:
    """A folder with cases that were predicted and scored: a fold, ``test``, or an external set.

    Parameters
    ----------
    folder : holds ``metrics.csv``, ``cases.json`` (but for a fold, whose cases are the run's) and ``predictions/``.
    """

    folder: Path

    @property
    def table(self) -> Path:
        """Figures per case."""
        return self.folder / TABLE

    @property
    def cases(self) -> Path:
        """The cases with their patients and file hashes."""
        return self.folder / "cases.json"

    @property
    def predictions(self) -> Path:
        """The folder of the predictions."""
        return self.folder / "predictions"

    def prediction(self, case: str, ending: str = LABEL_MAP) -> Path:
        """The file of a case's prediction; of a label map the picture, where it was written as one."""
        path, picture = self.predictions / f"{case}{ending}", self.predictions / f"{case}{PICTURE}"
        return picture if ending == LABEL_MAP and picture.is_file() else path

    def found(self, ending: str = LABEL_MAP) -> dict[str, Path]:
        """Case -> the prediction that is there, by name; label maps may be pictures."""
        kinds = (PICTURE, LABEL_MAP) if ending == LABEL_MAP else (ending,)
        files = sorted((path.name, path, kind) for kind in kinds for path in self.predictions.glob(f"*{kind}"))
        return {name.removesuffix(kind): path for name, path, kind in files}


@dataclass(frozen=True, order=True)
class RunFold:
    """One fold of a run: a number, which orders folds, and a folder with one trained network.

    Parameters
    ----------
    number : from 0, as in ``data.json`` and ``splits_final.json``.
    run : folder of the run.
    """

    number: int
    run: Path

    @classmethod
    def at(cls, folder: Path) -> RunFold | None:
        """The fold that a folder is by its name; None where it is none."""
        found = _FOLD.fullmatch(folder.name)
        return cls(int(found[1]), folder.parent) if found else None

    @property
    def name(self) -> str:
        """As its folder and its entries in ``summary.json`` and ``repeat.yaml`` are called: ``fold_3``."""
        return f"fold_{self.number}"

    @property
    def title(self) -> str:
        """For people: ``fold 3``."""
        return f"fold {self.number}"

    @property
    def folder(self) -> Path:
        """Of all its files."""
        return self.run / self.name

    @property
    def weights(self) -> Path:
        """The trained network."""
        return self.folder / WEIGHTS

    @property
    def features(self) -> Path:
        """What some of its cases look like to the network; only the first fold keeps them."""
        return self.folder / FEATURES

    @property
    def log(self) -> Path:
        """A row per validation."""
        return self.folder / LOG

    @property
    def checkpoint(self) -> Path:
        """What its training goes on from."""
        return self.folder / CHECKPOINT

    @property
    def held_out(self) -> CaseFiles:
        """The cases that it held out, predicted by its own network."""
        return CaseFiles(self.folder)


def folds_named(run: Path, names: Iterable[str]) -> list[RunFold]:
    """The folds of a run by their names, in the order given (ValueError for a name that is none)."""
    found = [RunFold.at(run / name) for name in names]
    if None in found:
        raise ValueError(f"{', '.join(names)}: folds are called fold_0, fold_1, ...")
    return [fold for fold in found if fold is not None]


def folds_in(run: Path) -> list[RunFold]:
    """Every fold that has a folder in a run, by number: fold 10 after fold 2."""
    folders = run.iterdir() if run.is_dir() else ()
    return sorted(fold for path in folders if path.is_dir() and (fold := RunFold.at(path)) is not None)


def trained_folds(run: Path) -> list[RunFold]:
    """The folds of a run that have weights, by number."""
    return [fold for fold in folds_in(run) if fold.weights.is_file()]


def held_out_tables(run: Path) -> list[Path]:
    """``metrics.csv`` of every fold that held out cases, by number."""
    return [fold.held_out.table for fold in folds_in(run) if fold.held_out.table.is_file()]


def held_out_predictions(run: Path, ending: str = LABEL_MAP) -> dict[str, Path]:
    """Case -> the prediction of the fold that held it out, by fold."""
    return {case: path for fold in folds_in(run) for case, path in fold.held_out.found(ending).items()}


def logged_folds(run: Path) -> list[RunFold]:
    """The folds of a run whose training has a log, by number."""
    return [fold for fold in folds_in(run) if fold.log.is_file()]


def test_in(run: Path) -> CaseFiles:
    """Where a run keeps the test set that it was evaluated on last."""
    return CaseFiles(run / "test")


def folders_of(folds: Iterable[RunFold]) -> list[Path]:
    """Where the weights of folds lie."""
    return [fold.folder for fold in folds]


def names_of(folds: Iterable[RunFold]) -> list[str]:
    """For a sentence."""
    return [fold.name for fold in folds]
