"""Smaller training sets of the same study, for learning curves: nested, so that more scans always means the same ones and others.

Knows folds and patients. The held-out cases stay as they are, so all sizes are scored on the same cases.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from voxloom.dataset.dataset import Dataset
from voxloom.dataset.folds import Fold
from voxloom.errors import BadInput


def first_patients(folds: Iterable[Fold], dataset: Dataset, count: int | None, *, seed: int = 0) -> list[Fold]:
    """Folds that train on the cases of ``count`` of their patients only.

    Parameters
    ----------
    count : patients, at least 1; None keeps all. With one seed the patients of a smaller count are among those of a larger one.
    seed : draws the order of the patients.

    Raises
    ------
    BadInput : a fold has fewer training patients.
    """
    if count is None:
        return list(folds)
    everybody = sorted({case.patient for case in dataset})
    rank = dict(zip(everybody, np.random.default_rng(seed).permutation(len(everybody)), strict=True))
    return [_first(fold, dataset, count, rank, number) for number, fold in enumerate(folds)]


def _first(fold: Fold, dataset: Dataset, count: int, rank: dict[str, int], number: int) -> Fold:
    patients = sorted({dataset[name].patient for name in fold.train}, key=lambda patient: rank[patient])
    if len(patients) < count:
        raise BadInput(
            f"fold {number} has {len(patients)} patients to train on, not {count}",
            dataset.root,
            "Ask for fewer with folds.train_patients",
        )
    kept = set(patients[:count])
    return Fold(tuple(name for name in fold.train if dataset[name].patient in kept), fold.val)
