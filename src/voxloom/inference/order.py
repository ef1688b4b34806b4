"""Names of structures that lie in a row, such as vertebrae: each structure gets one name, in the order from head to feet.

A network that sees vertebrae one by one may name two of them L3 and the next L4: every single name is likely, the row is not.
Knows label maps and probabilities. Does not know whether it helps; validation does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset.labels import Labels
from voxloom.evaluation.touching import split_touching
from voxloom.volume import spacing_of

#: The least probability that a structure has any name, or none.
_FLOOR = 1e-3


def name_in_order(
    outer: NDArray[Any],
    labels: Labels,
    order: Sequence[str],
    activations: Callable[[str], NDArray[Any]],
    affine: NDArray[np.float64],
    smallest_ml: float = 0.0,
) -> NDArray[Any]:
    """Give every structure one label, so that labels follow one another without a gap.

    The voxels of all ``order`` labels are divided into structures (``split_touching``), sorted by height. Of all rows of
    neighboring structures named by neighboring labels, the likeliest is taken: the product, over structures, of the mean
    probability of the name, or of having none for structures above and below the row.

    Parameters
    ----------
    outer : (I, J, K) outer label values; not changed.
    order : labels from head to feet.
    activations : gives the probability of a label, (I, J, K).
    affine : (4, 4) voxel index to RAS mm.
    smallest_ml : pieces below are left as they are.

    Returns
    -------
    A new array; structures without a name become background. Other labels are not touched.
    """
    values = [labels.foreground[labels.names.index(name)].values for name in order]
    spacing = spacing_of(affine)
    mask = np.isin(outer, [value for own in values for value in own])
    parts = split_touching(mask, spacing, smallest=smallest_ml * 1000 / float(np.prod(spacing)))
    count = int(parts.max(initial=0))
    if not count:
        return outer.copy()
    inside = parts > 0
    which = parts[inside]
    heights = np.argwhere(inside) @ affine[2, :3]
    middles = np.bincount(which, weights=heights)[1:] / np.bincount(which)[1:]
    downward = np.argsort(middles)[::-1] + 1
    if _is_row(which, outer[inside], downward, values):
        return outer.copy()
    means = np.stack([_means(activations(name), parts, count)[downward - 1] for name in order], axis=1)
    out = outer.copy()
    names = _likeliest_row(means)
    for part, name in zip(downward, names, strict=True):
        here = parts == part
        if name is None:
            out[here] = labels.background
        else:
            out[here & ~np.isin(outer, values[name])] = labels.written_values[labels.names.index(order[name])]
    return out


def _is_row(
    which: NDArray[np.uint32], outer: NDArray[Any], downward: NDArray[np.intp], values: Sequence[Sequence[int]]
) -> bool:
    """Whether every structure is of one label alone, and they follow one another: ``which`` and ``outer`` by voxel.

    No row is likelier then, since every voxel has its likeliest label.
    """
    names: dict[int, set[int]] = {int(part): set() for part in downward}
    for name, own in enumerate(values):
        for part in np.unique(which[np.isin(outer, own)]):
            names[int(part)].add(name)
    first = min(names[int(downward[0])])
    return all(names[int(part)] == {first + n} for n, part in enumerate(downward))


def _means(probability: NDArray[Any], parts: NDArray[np.uint32], count: int) -> NDArray[np.float64]:
    """Mean probability in parts 1, 2, ..."""
    sums = np.bincount(parts.ravel(), weights=probability.astype(np.float64).ravel(), minlength=count + 1)
    found: NDArray[np.float64] = sums[1:] / np.maximum(np.bincount(parts.ravel(), minlength=count + 1)[1:], 1)
    return found


def _likeliest_row(means: NDArray[np.float64]) -> list[int | None]:
    """The label (column) of every structure (row) of mean probabilities (structures, labels); None for none."""
    structures, labels = means.shape
    named = np.log(np.maximum(means, _FLOOR))
    nameless = np.log(np.maximum(1 - means.sum(axis=1), _FLOOR))
    best, row = -np.inf, (0, 0, 0)
    for first in range(structures):
        for label in range(labels):
            for length in range(1, min(structures - first, labels - label) + 1):
                inside = sum(named[first + n, label + n] for n in range(length))
                score = float(inside + nameless[:first].sum() + nameless[first + length :].sum())
                if score > best:
                    best, row = score, (first, label, length)
    first, label, length = row
    return [label + n - first if first <= n < first + length else None for n in range(structures)]
