"""The members of an ensemble: runs or single folds, and which cases each of them never saw.

Knows run folders. A member of several folds is the mean of their networks; on a case that one of them held out, that one
alone speaks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from voxloom.dataset import Dataset, Labels
from voxloom.dataset.label_match import labels_text
from voxloom.errors import BadInput
from voxloom.run.run import Run
from voxloom.tasks.abilities import ask_folders
from voxloom.tasks.segmentation.material import usable_cases
from voxloom.tasks.segmentation.predictor import Predictor


@dataclass(frozen=True)
class EnsembleMember:
    """One voice of an ensemble.

    Parameters
    ----------
    run : folder of the run.
    folds : its folds that take part, e.g. "fold_0".
    """

    run: Path
    folds: tuple[str, ...]

    @property
    def name(self) -> str:
        """``run``, or ``run/fold_2`` for a single fold of several."""
        return self.run.name if len(self.folds) != 1 else f"{self.run.name}/{self.folds[0]}"

    def predictor(self, fold: str | None = None, device: str = "auto") -> Predictor:
        """The networks of all its folds, or of one, with the post-processing of the run."""
        run = Run(self.run)
        folders = [self.run / name for name in ((fold,) if fold else self.folds)]
        largest = tuple(run.summary.get("largest_component", ()))
        return Predictor.from_folds(folders, device=device, largest=largest).with_run(run)

    @cached_property
    def held_out(self) -> dict[str, str]:
        """Case -> the fold of this member that never saw it."""
        cases = Run(self.run).data["cases"]
        return {c["id"]: f"fold_{c['fold']}" for c in cases if f"fold_{c['fold']}" in self.folds}

    @cached_property
    def digests(self) -> dict[str, list[str]]:
        """Case -> hashes of its files."""
        return {case["id"]: sorted(case["files"].values()) for case in Run(self.run).data["cases"]}


def find_members(paths: Sequence[Path], *, each_fold: bool = False) -> list[EnsembleMember]:
    """Members named by folders of runs or of folds.

    Parameters
    ----------
    each_fold : every fold of a run is a member of its own.

    Raises
    ------
    BadInput : a folder is neither, there are fewer than two members, or one is named twice.
    """
    ask_folders("ensemble", paths)
    members: list[EnsembleMember] = []
    for path in (path.resolve() for path in paths):
        if path.name.startswith("fold_") and (path / "model.safetensors").is_file():
            members.append(EnsembleMember(path.parent, (path.name,)))
        else:
            folds = [folder.name for folder in Run(path).folds]
            members += (
                [EnsembleMember(path, (f,)) for f in folds] if each_fold else [EnsembleMember(path, tuple(folds))]
            )
    if len(set(members)) < len(members):
        raise BadInput("a member is named twice", None, "Name every run or fold once")
    if len(members) < 2:
        raise BadInput("an ensemble needs two members", None, "Name more runs, or let every fold vote: --each-fold")
    return members


def check_members(members: Sequence[EnsembleMember], predictors: Sequence[Predictor]) -> None:
    """Refuse members that speak of different labels or channels."""
    first = predictors[0]
    for member, predictor in zip(members, predictors, strict=True):
        if predictor.labels != first.labels:
            raise BadInput(
                f"{member.name} has the labels {labels_text(predictor.labels)}, {members[0].name} has "
                f"{labels_text(first.labels)}",
                member.run,
                "Combine runs with the same labels and values",
            )
        if predictor.channels != first.channels:
            raise BadInput(f"{member.name} sees other channels than {members[0].name}", member.run, "Combine like runs")


def common_cases(members: Sequence[EnsembleMember]) -> tuple[Dataset, Labels, list[str]]:
    """The cases that no member has seen in training: held out by a fold of every one of them, with equal files."""
    first = Run(members[0].run)
    dataset, labels = usable_cases(Dataset(first.data_root), first.recipe)
    ids = [
        case
        for case in members[0].held_out
        if all(case in m.held_out and m.digests[case] == members[0].digests[case] for m in members)
    ]
    return dataset, labels, sorted(ids)
