"""Connected pieces of labels.

Uses connected-components-3d: all labels in one pass, measured 4 to 8 times faster than scipy.ndimage.label per label
(36 x 50 x 36: 0.1 against 0.8 ms; 256 x 256 x 128: 51 against 239 ms). Knows arrays only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset.labels import Labels


def count_components(outer: NDArray[Any], labels: Labels) -> dict[str, int]:
    """Connected pieces (26 neighbors) per label name of a map (I, J, K) of outer values."""
    box = _box(outer != labels.background)
    if box is None:
        return dict.fromkeys(labels.names, 0)
    cut = outer[box]
    if labels.has_regions:
        return {name: _count(mask.astype(np.uint8)).get(1, 0) for name, mask in labels.masks(cut)}
    found = _count(np.where(np.isin(cut, labels.atoms), cut, 0))
    return {label.name: found.get(label.values[0], 0) for label in labels.foreground}


def _count(values: NDArray[Any]) -> dict[int, int]:
    """Pieces per value other than 0."""
    import cc3d

    pieces, count = cc3d.connected_components(np.ascontiguousarray(values), connectivity=26, return_N=True)
    value_of = np.zeros(count + 1, dtype=values.dtype)
    inside = pieces > 0
    value_of[pieces[inside]] = values[inside]
    found, counts = np.unique(value_of[1:], return_counts=True)
    return {int(v): int(n) for v, n in zip(found, counts, strict=True)}


def _box(mask: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """The smallest box around the mask, or None where it is empty."""
    box = []
    for axis in range(mask.ndim):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if not len(hit):
            return None
        box.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return tuple(box)
