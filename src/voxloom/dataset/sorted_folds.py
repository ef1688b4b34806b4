"""Worst-case folds: patients sorted by a column and cut into blocks, so that every fold validates on unlike cases.

Knows the columns that the grid of an image gives; the other columns are those of ``folds``. CT studies that sort their
volumes by the number of slices divide them so.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from voxloom.dataset.case import Case
from voxloom.dataset.dataset import Dataset
from voxloom.dataset.folds import Fold, by_patient, column_values, fold_with
from voxloom.errors import BadInput
from voxloom.volume import spacing_of

#: Columns that are read off the image's grid; no voxel is read.
GRID_COLUMNS = ("slices", "slice_thickness", "pixel_spacing", "field_of_view")


def sorted_folds(dataset: Dataset, k: int, column: str) -> list[Fold]:
    """k folds of patients that are sorted by a column and cut into blocks of about equally many cases.

    Parameters
    ----------
    dataset : the cases to divide; all cases of a patient stay together, sorted by the mean of their values.
    k : number of folds, at least 2 and at most the number of patients.
    column : "slices" (voxels along the axis of the largest spacing, the last of equal ones), "slice_thickness" (that
        spacing, mm), "pixel_spacing" (the smallest, mm), "field_of_view" (ml), "label_volume" (mm3), "group", "target" or an
        attribute. Texts are sorted by the alphabet.

    Raises
    ------
    BadInput : k does not fit the number of patients, or a case lacks the column.
    """
    patients = by_patient(dataset)
    if not 2 <= k <= len(patients):
        raise BadInput(f"{k} sorted folds of {len(patients)} patients cannot be made", dataset.root, "Change the count")
    values = _values(dataset, patients, column)
    if lacking := [patient for patient, value in values.items() if value is None]:
        raise BadInput(f"patient {lacking[0]} has no {column!r} to sort by", dataset.root, "Fill the column")
    if len({isinstance(value, str) for value in values.values()}) > 1:
        raise BadInput(f"{column!r} mixes numbers and text", dataset.root, "Use one kind")
    order = sorted(patients, key=lambda patient: (values[patient], patient))
    blocks = _cut([len(patients[patient]) for patient in order], k)
    return [
        fold_with(dataset, [c.id for p, b in zip(order, blocks, strict=True) if b == n for c in patients[p]])
        for n in range(k)
    ]


def _values(dataset: Dataset, patients: dict[str, list[Case]], column: str) -> dict[str, Any]:
    if column not in GRID_COLUMNS:
        return column_values(dataset, patients, column)
    return {
        patient: float(np.mean([grid_value(case, column) for case in cases])) for patient, cases in patients.items()
    }


def grid_value(case: Case, column: str) -> float:
    """One of ``GRID_COLUMNS`` of a case, from the header of its first channel."""
    header = case.header()
    spacing = spacing_of(header.affine)
    axis = max((2, 1, 0), key=lambda a: round(spacing[a], 6))
    return {
        "slices": float(header.shape[axis]),
        "slice_thickness": spacing[axis],
        "pixel_spacing": min(spacing),
        "field_of_view": float(np.prod(header.shape) * np.prod(spacing)) / 1000,
    }[column]


def _cut(sizes: list[int], k: int) -> list[int]:
    """Block of each patient: by where the middle of its cases falls, in order, and no block stays empty."""
    total, before = sum(sizes), 0
    blocks: list[int] = []
    for n, size in enumerate(sizes):
        wanted = int(k * (before + size / 2) / total)
        last = blocks[-1] if blocks else -1
        blocks.append(min(max(wanted, last, k - len(sizes) + n), last + 1))
        before += size
    return blocks
