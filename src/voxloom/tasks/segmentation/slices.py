"""Dice per slice of the predictions of a run whose network sees slices.

Knows the recipe's ``slices`` and ``network`` and the files of a run. The figures are in ``voxloom.evaluation.slice_table``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxloom.dataset import Case, Labels
from voxloom.evaluation.slice_table import SliceTable, thick_plane
from voxloom.formats import read_label
from voxloom.report.slice_part import SLICES
from voxloom.run.run import Run
from voxloom.tasks.segmentation.truth import truth_of


def score_slices(
    run: Run, labels: Labels, predictions: Mapping[str, Path], cases: Sequence[Case], folder: Path
) -> dict[str, Any]:
    """Write ``slices.csv`` into ``folder``; the entry ``slices`` of a summary, empty for networks that see volumes and for pictures.

    Slices lie in the recipe's plane; without one across the axis of the largest spacing.
    """
    if run.recipe.network.get("dims") != 2:
        return {}
    table, planes = SliceTable(), set()
    for case in cases:
        truth = truth_of(case)
        if truth.shape[2] > 1:
            plane = run.recipe.slices.plane or thick_plane(truth)
            planes.add(plane)
            table.add(case.id, read_label(predictions[case.id]), truth, labels, plane, patient=case.patient)
    if not table.rows:
        return {}
    table.write_csv(folder / SLICES)
    return {"slices": {"planes": sorted(planes), **table.summary()}}
