"""Folds by group: all cases of a site (or of any other column) stay on one side, so that every fold tests on unseen sites.

Knows leave-one-group-out and k folds of whole groups. Patients never lie on both sides, as in every other division.
"""

from __future__ import annotations

from collections import defaultdict

from voxloom.dataset.dataset import Dataset
from voxloom.dataset.folds import Fold, column_value, fold_with
from voxloom.dataset.tables import name_some
from voxloom.errors import BadInput


def leave_one_out(dataset: Dataset, column: str) -> list[Fold]:
    """One fold per value of a column, in the order of the values: it validates on the cases with it, and trains on the others.

    Parameters
    ----------
    dataset : the cases to divide.
    column : "group", "target", "dataset" (where several data sets are used together) or an attribute.

    Raises
    ------
    BadInput : a case has no value, a patient has two, or there are fewer than two values.
    """
    groups = by_group(dataset, column)
    return [fold_with(dataset, cases) for _, cases in sorted(groups.items())]


def group_folds(dataset: Dataset, k: int, column: str) -> list[Fold]:
    """k folds of whole groups with about equally many cases: the largest group first, always into the smallest fold.

    ``column`` and errors as in ``leave_one_out``; k is at least 2 and at most the number of groups.
    """
    groups = by_group(dataset, column)
    if not 2 <= k <= len(groups):
        raise BadInput(
            f"{k} folds of {len(groups)} values of {column!r} cannot be made", dataset.root, "Change folds.count"
        )
    folds: list[list[str]] = [[] for _ in range(k)]
    for _, cases in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        min(folds, key=len).extend(cases)
    return [fold_with(dataset, cases) for cases in folds]


def by_group(dataset: Dataset, column: str) -> dict[str, list[str]]:
    """Case ids by the text of their value in a column (BadInput: see ``leave_one_out``)."""
    groups: dict[str, list[str]] = defaultdict(list)
    group_of: dict[str, str] = {}
    lacking = [case.id for case in dataset if column_value(case, column) is None]
    if lacking:
        known = sorted({"group", *(name for case in dataset for name in case.attributes)})
        raise BadInput(
            f"no {column!r} is known of {name_some(lacking)}",
            dataset.root,
            f"Fill the column in participants.csv, or use one of {', '.join(known)}",
        )
    for case in dataset:
        group = str(column_value(case, column))
        if group_of.setdefault(case.patient, group) != group:
            raise BadInput(
                f"patient {case.patient} has cases with {column!r} {group_of[case.patient]} and {group}",
                dataset.root,
                "Give all cases of a patient one value, or divide by patients: leave the column out",
            )
        groups[group].append(case.id)
    if len(groups) < 2:
        raise BadInput(
            f"all cases have the {column!r} {next(iter(groups), '')}: nothing to divide by",
            dataset.root,
            "Use folds.count",
        )
    return dict(groups)
