"""Which values the label files of a data set hold, read once when somebody asks.

Knows how to scan label maps in parallel. Does not know what the values mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxloom.dataset.case import Case
from voxloom.dataset.faults import all_or_told
from voxloom.dataset.labels import Labels
from voxloom.dataset.sources import ImageSource, read_label_source
from voxloom.errors import BadInput
from voxloom.parallel import map_outcomes
from voxloom.volume import Volume

#: Fewer files than this are read faster here than by processes that have to start.
_WORTH_PROCESSES = 400
_LARGEST_COUNTED = 1 << 16

#: A label map, and the image that it belongs to.
LabelOfImage = tuple[ImageSource, ImageSource | None]


class LabelScan:
    """The labels found in the label files of ``cases``; they are read at the first ``labels()`` and never again."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.sources = tuple(
            (case.id, (case.label, next(iter(case.images.values()), None))) for case in cases if case.label is not None
        )
        self._found: Labels | None = None

    def labels(self) -> Labels | None:
        """Labels named after their values (``label_5``), or as DICOM segments and regions are; None when no case has a label.

        Raises BadInput when a file cannot be read, holds negative values, or when all are empty.
        """
        if self._found is None and self.sources:
            values, names = scan_values(self.sources)
            if not values - {0}:
                raise BadInput("every label file is empty", None, "Check the label files, or pass labels= to Dataset")
            self._found = Labels.from_values(values, names)
        return self._found


def scan_values(sources: Sequence[tuple[str, LabelOfImage]]) -> tuple[set[int], dict[int, str]]:
    """All values in the label maps given as (case id, (source, its image)), and their names where the files have them.

    Raises
    ------
    BadInput : files cannot be read, or are no label maps (all of that kind are named); two files give one value different names.
    """
    found: set[int] = set()
    names: dict[int, str] = {}
    for case, values, own in _readable(sources):
        found |= values
        for value, name in own.items():
            if names.setdefault(value, name) != name:
                what = f"value {value} is {name} in case {case}, and {names[value]} in another"
                raise BadInput(what, None, "Export the segments in the same order, or pass labels= to Dataset")
    return found, names


def _readable(sources: Sequence[tuple[str, LabelOfImage]]) -> list[tuple[str, set[int], dict[int, str]]]:
    """Case, values and names of every label map; those that cannot be read are refused together."""
    workers = 0 if len(sources) < _WORTH_PROCESSES else None
    outcomes = map_outcomes(_values, sources, step="reading label values", workers=workers)
    return [(case, *found) for case, found in all_or_told(outcomes)]


def _values(pair: LabelOfImage) -> tuple[set[int], dict[int, str]]:
    volume = read_label_source(*pair)
    return _values_of(volume), dict(volume.meta.get("label_names", {}))


def _values_of(volume: Volume) -> set[int]:
    data = volume.data
    if data.size and data.min() < 0:
        raise BadInput(
            f"the label value {int(data.min())} is negative", volume.meta.get("source"), "Use values from 0 up"
        )
    if data.size and data.max() < _LARGEST_COUNTED:
        return {int(v) for v in np.flatnonzero(np.bincount(data.ravel()))}
    return {int(v) for v in np.unique(data)}
