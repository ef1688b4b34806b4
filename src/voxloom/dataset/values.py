"""Which values the label files of a data set hold, read once when somebody asks.

Knows how to scan label maps in parallel. Does not know what the values mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxloom.dataset.case import Case
from voxloom.dataset.labels import Labels
from voxloom.dataset.sources import ImageSource, read_label_source
from voxloom.errors import BadInput
from voxloom.parallel import map_named

#: Fewer files than this are read faster here than by processes that have to start.
_WORTH_PROCESSES = 400
_LARGEST_COUNTED = 1 << 16


class LabelScan:
    """The labels found in the label files of ``cases``; they are read at the first ``labels()`` and never again."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.sources = tuple((case.id, case.label) for case in cases if case.label is not None)
        self._found: Labels | None = None

    def labels(self) -> Labels | None:
        """Labels named after their values (``label_5``); None when no case has a label.

        Raises BadInput when a file cannot be read, holds negative values, or when all are empty.
        """
        if self._found is None and self.sources:
            values = scan_values(self.sources)
            if not values - {0}:
                raise BadInput("every label file is empty", None, "Check the label files, or pass labels= to Dataset")
            self._found = Labels.from_values(values)
        return self._found


def scan_values(sources: Sequence[tuple[str, ImageSource]]) -> set[int]:
    """All values in the label maps given as (case id, source)."""
    workers = 0 if len(sources) < _WORTH_PROCESSES else None
    found: set[int] = set()
    for _, values in map_named(_values, sources, step="reading label values", workers=workers):
        found |= values
    return found


def _values(source: ImageSource) -> set[int]:
    volume = read_label_source(source)
    data = volume.data
    if data.size and data.min() < 0:
        raise BadInput(
            f"the label value {int(data.min())} is negative", volume.meta.get("source"), "Use values from 0 up"
        )
    if data.size and data.max() < _LARGEST_COUNTED:
        return {int(v) for v in np.flatnonzero(np.bincount(data.ravel()))}
    return {int(v) for v in np.unique(data)}
