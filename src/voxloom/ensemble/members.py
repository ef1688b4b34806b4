"""The members of an ensemble: runs or single folds, and which cases each of them never saw.

Knows run folders. A member of several folds is the mean of their networks; on a case that one of them held out, that one
alone speaks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from voxloom.dataset import Dataset, Labels
from voxloom.dataset.label_match import labels_text
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation
from voxloom.run.run import Run
from voxloom.runfiles import RunFold
from voxloom.tasks.abilities import ask_folders
from voxloom.tasks.segmentation.material import usable_cases
from voxloom.tasks.segmentation.predictor import Predictor


@dataclass(frozen=True)
class EnsembleMember:
    """One member of an ensemble.

    Parameters
    ----------
    run : folder of the run.
    folds : those that take part.
    """

    run: Path
    folds: tuple[RunFold, ...]

    @property
    def name(self) -> str:
        """``run``, or ``run/fold_2`` for a single fold of several."""
        return self.run.name if len(self.folds) != 1 else f"{self.run.name}/{self.folds[0].name}"

    def predictor(self, fold: RunFold | None = None, device: str = "auto") -> Predictor:
        """The networks of all its folds, or of one, with the post-processing of the run."""
        run = Run(self.run)
        folders = [one.folder for one in ((fold,) if fold else self.folds)]
        largest = tuple(run.summary.get("largest_component", ()))
        return Predictor.from_folds(folders, device=device, largest=largest).with_run(run)

    @cached_property
    def held_out(self) -> dict[str, RunFold]:
        """Case -> the fold of this member that never saw it."""
        return {case: fold for case, fold in Run(self.run).fold_of.items() if fold in self.folds}

    @cached_property
    def held_out_dice(self) -> float:
        """Mean Dice over labels and the cases that it held out."""
        tables = [fold.held_out.table for fold in self.folds if fold.held_out.table.is_file()]
        if not tables:
            raise BadInput("held out no case, so it has no score to choose by", self.run, "Leave --best out")
        means = [Evaluation.read_csv(path).case_means("dice") for path in tables]
        return float(np.mean([dice for of_fold in means for dice in of_fold.values()]))

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
        if (one := RunFold.at(path)) is not None and one.weights.is_file():
            members.append(EnsembleMember(path.parent, (one,)))
        else:
            folds = Run(path).folds
            members += (
                [EnsembleMember(path, (f,)) for f in folds] if each_fold else [EnsembleMember(path, tuple(folds))]
            )
    if len(set(members)) < len(members):
        raise BadInput("a member is named twice", None, "Name every run or fold once")
    if len(members) < 2:
        raise BadInput("an ensemble needs two members", None, "Name more runs, or let every fold vote: --each-fold")
    return members


def best_members(members: Sequence[EnsembleMember], count: int) -> list[EnsembleMember]:
    """Of every kind of network the members with the highest mean Dice on the cases that they held out, in the order given.

    A kind is the network's name, 2D or 3D, and the labels: the CT study takes the five best 3D MS-D nets and the five best 2D U-Nets
    (Kloenne et al. 2019).

    Raises BadInput for a member without held-out cases.
    """
    kinds: dict[str, list[EnsembleMember]] = {}
    for member in members:
        run = Run(member.run)
        network = run.recipe.network
        kinds.setdefault(f"{network.get('kind')} {network.get('dims')} {run.data['dataset']['labels']}", []).append(
            member
        )
    kept = [m for group in kinds.values() for m in sorted(group, key=lambda m: -m.held_out_dice)[:count]]
    return [member for member in members if member in kept]


def targets_first(
    members: Sequence[EnsembleMember], predictors: Sequence[Predictor]
) -> tuple[list[EnsembleMember], int]:
    """The members of a stack, those first that speak of the labels that the stack decides on, and how many they are.

    The stack decides on the labels of the member that has most. Others, e.g. one organ instead of kidney and tumor, are
    further members that it learns to use.

    Raises BadInput for other channels, and for a member with a value that the stack's labels do not have.
    """
    target = max((p.labels for p in predictors), key=lambda labels: labels.count)
    alike = [m for m, p in zip(members, predictors, strict=True) if p.labels == target]
    others = [m for m, p in zip(members, predictors, strict=True) if p.labels != target]
    for member, predictor in zip(members, predictors, strict=True):
        if beyond := sorted(set(predictor.labels.atoms) - set(target.atoms)):
            what = f"{member.name} has the value {beyond[0]}, which is none of {labels_text(target)}"
            raise BadInput(what, member.run, "Stack runs whose labels are made of the same values")
        refuse_channels(member, predictor, members[0], predictors[0])
    return [*alike, *others], len(alike)


def refuse_channels(member: EnsembleMember, predictor: Predictor, first: EnsembleMember, other: Predictor) -> None:
    """Refuse a member that sees other channels than the first."""
    if predictor.channels != other.channels:
        raise BadInput(f"{member.name} sees other channels than {first.name}", member.run, "Combine like runs")


def check_members(members: Sequence[EnsembleMember], predictors: Sequence[Predictor]) -> None:
    """Refuse members that speak of different labels or channels."""
    first = predictors[0]
    for member, predictor in zip(members, predictors, strict=True):
        if predictor.labels != first.labels:
            raise BadInput(
                f"{member.name} has the labels {labels_text(predictor.labels)}, {members[0].name} has "
                f"{labels_text(first.labels)}",
                member.run,
                "Combine runs with the same labels and values; a stack (--by stack) takes others too",
            )
        refuse_channels(member, predictor, members[0], first)


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
