"""Dice per slice of two folders of label maps against each other, matched by case id."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from voxloom.dataset.labels import Labels
from voxloom.evaluation.folders import Truth, label_files, read_pair
from voxloom.evaluation.slice_table import Plane, SliceTable


def slice_folders(
    predictions: str | Path,
    truths: Mapping[str, Truth],
    labels: Labels,
    plane: Plane,
    *,
    cases: Collection[str],
    patients: Mapping[str, str] | None = None,
) -> SliceTable:
    """Cut every true label map and its prediction in slices.

    Parameters
    ----------
    predictions : folder; files match by their name without the ending. A missing prediction found nothing.
    truths : by case.
    cases : which to cut.
    patients : case -> patient, for the intervals; None takes every case as a patient of its own.

    Raises
    ------
    BadInput : a file cannot be read, or the grids of a pair differ.
    """
    found, table = label_files(Path(predictions)), SliceTable()
    for case in cases:
        mask, truth = read_pair(found.get(case), truths[case], labels)
        table.add(case, mask, truth, labels, plane, patient=(patients or {}).get(case))
    return table
