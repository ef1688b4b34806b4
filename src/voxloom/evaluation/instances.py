"""Structures of one label map: found, told apart where they touch, numbered from head to feet, and matched with the true ones.

Knows label maps and affines: the order is that of the patient, whatever the order of the array. Does not know networks or runs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset.labels import Label, Labels
from voxloom.errors import BadInput
from voxloom.evaluation.metrics import MaskMetrics, mask_metrics
from voxloom.evaluation.touching import split_touching
from voxloom.evaluation.units import MM, PIXEL
from voxloom.volume import Volume

NOTHING: Mapping[str, float] = {}
#: A predicted structure is a true one from this IoU on.
LEAST_IOU = 0.1


@dataclass(frozen=True)
class Structure:
    """One structure of a label map.

    Parameters
    ----------
    number : 1 for the highest in the patient, then downward.
    label : name of the label it belongs to.
    ml : volume.
    center : of its voxels, RAS mm.
    """

    number: int
    label: str
    ml: float
    center: tuple[float, float, float]


@dataclass(frozen=True)
class Structures:
    """All structures of one label map.

    Parameters
    ----------
    numbers : (I, J, K) number of each voxel's structure, 0 outside of all; 32 bits where there are more than 65,535.
    found : in the order of their numbers.
    """

    numbers: NDArray[np.unsignedinteger[Any]]
    found: tuple[Structure, ...]


@dataclass(frozen=True)
class Match:
    """A true structure and the predicted one that covers it; one of both may be missing."""

    truth: Structure | None
    prediction: Structure | None
    metrics: MaskMetrics


def several_of(wanted: Collection[str] | str, labels: Labels) -> tuple[str, ...]:
    """The labels that hold several structures each: those named, or for "auto" the only label where there is one.

    Raises BadInput for a label that is not declared.
    """
    if wanted == "auto":
        return labels.names if labels.count == 1 else ()
    if unknown := sorted(set(wanted) - set(labels.names)):
        raise BadInput(f"no label is called {', '.join(unknown)}", None, f"Declared are {', '.join(labels.names)}")
    return tuple(wanted)


def find_structures(
    volume: Volume, labels: Labels, several: Collection[str] = (), smallest_ml: Mapping[str, float] = NOTHING
) -> Structures:
    """The structures of a label map, numbered from head to feet.

    Parameters
    ----------
    volume : (1, I, J, K) of outer values.
    several : labels that hold several structures each. Where such a label has several values (vertebrae that were merged), each
        value that is there is one structure; else its connected pieces (26 neighbors) are, told apart where they touch
        (``split_touching``). Every other label is one structure.
    smallest_ml : per label, pieces below this volume do not count as structures: they join the piece they touch, or stay out.

    Raises
    ------
    BadInput : ``several`` names a label that is not declared.
    """
    several = several_of(several, labels)
    outer, voxel_ml = volume.data[0], volume.voxel_size / (1 if volume.unit == PIXEL else 1000)
    numbers = np.zeros(outer.shape, dtype=np.uint32)
    names: list[str] = []
    for label in labels.foreground:
        least = smallest_ml.get(label.name, 0.0) / voxel_ml
        pieces = _pieces(outer, label, volume.spacing, label.name in several, least)
        numbers[pieces > 0] = pieces[pieces > 0].astype(np.uint32) + len(names)
        names += [label.name] * int(pieces.max(initial=0))
    return _from_head_to_feet(numbers, names, volume.affine, voxel_ml)


def _pieces(
    outer: NDArray[np.generic], label: Label, spacing: tuple[float, float, float], several: bool, least: float
) -> NDArray[np.unsignedinteger[Any]]:
    """Pieces of a label, numbered from 1 without gaps."""
    mask = np.isin(outer, label.values)
    present = [value for value in label.values if (outer == value).any()]
    if several and len(present) > 1:
        return np.searchsorted(present, np.where(mask, outer, present[0] - 1), side="right").astype(np.uint16)
    if several:
        return split_touching(mask, spacing, smallest=least)
    return mask.astype(np.uint16) if mask.sum() >= least else np.zeros(mask.shape, np.uint16)


def _from_head_to_feet(
    numbers: NDArray[np.uint32], names: list[str], affine: NDArray[np.float64], voxel_ml: float
) -> Structures:
    """Renumber pieces by the height of their centers (RAS z, downward); names are those of pieces 1, 2, ..."""
    voxels = np.argwhere(numbers)
    piece = numbers[tuple(voxels.T)].astype(np.int64)
    counts = np.bincount(piece, minlength=len(names) + 1)
    there = [n for n in range(1, len(names) + 1) if counts[n]]
    sums = np.stack([np.bincount(piece, weights=axis, minlength=len(names) + 1) for axis in voxels.T], axis=1)
    centers = sums / np.maximum(counts, 1)[:, None] @ affine[:3, :3].T + affine[:3, 3]
    order = sorted(there, key=lambda n: (-centers[n][2], *centers[n][:2], n))
    table = np.zeros(len(names) + 1, dtype=np.uint16 if len(there) <= np.iinfo(np.uint16).max else np.uint32)
    found = []
    for number, n in enumerate(order, start=1):
        table[n] = number
        x, y, z = (float(v) for v in centers[n])
        found.append(Structure(number, names[n - 1], float(counts[n]) * voxel_ml, (x, y, z)))
    return Structures(np.asarray(table[numbers]), tuple(found))


def match_label_maps(
    prediction: Volume,
    truth: Volume,
    labels: Labels,
    several: Collection[str],
    smallest_ml: Mapping[str, float] = NOTHING,
) -> list[Match]:
    """Find the structures of both label maps, of one grid, and match them where the truth is annotated.

    ``several`` and ``smallest_ml`` (of the prediction alone) as in :func:`find_structures`.
    """
    found = find_structures(prediction, labels, several, smallest_ml)
    true = find_structures(truth, labels, several)
    return list(match_structures(found, true, truth.spacing, labels.valid(truth.data[0]), truth.unit))


def match_structures(
    prediction: Structures,
    truth: Structures,
    spacing: tuple[float, float, float],
    valid: NDArray[np.bool_] | None = None,
    unit: str = MM,
    least_iou: float = LEAST_IOU,
) -> list[Match]:
    """Pair predicted with true structures so that the sum of their Dice is largest; what hardly overlaps is not paired.

    Parameters
    ----------
    spacing : order i j k.
    valid : where voxels count.
    unit : of ``spacing``.
    least_iou : of a pair; one voxel in common does not make a structure found.

    Returns
    -------
    One match per true structure in its order, then one per predicted structure without a partner.
    """
    from scipy.optimize import linear_sum_assignment

    dice = _dice_table(prediction, truth, valid)
    rows, columns = linear_sum_assignment(-dice)
    least = 2 * least_iou / (1 + least_iou)  # the Dice of this IoU
    pairs = {int(t): int(p) for p, t in zip(rows, columns, strict=True) if dice[p, t] >= least}
    alone = [p for p in range(len(prediction.found)) if p not in pairs.values()]
    wanted = [(pairs.get(t), t) for t in range(len(truth.found))] + [(p, None) for p in alone]
    matches = []
    for p, t in wanted:
        masks = [
            np.zeros(of.numbers.shape, bool) if n is None else of.numbers == n + 1
            for of, n in ((prediction, p), (truth, t))
        ]
        matches.append(
            Match(
                None if t is None else truth.found[t],
                None if p is None else prediction.found[p],
                mask_metrics(masks[0], masks[1], spacing, valid, unit=unit),
            )
        )
    return matches


def _dice_table(prediction: Structures, truth: Structures, valid: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """Dice of every predicted (rows) with every true structure."""
    shape = (len(prediction.found) + 1, len(truth.found) + 1)
    pair = prediction.numbers.astype(np.int64) * shape[1] + truth.numbers
    table = np.bincount((pair if valid is None else pair[valid]).ravel(), minlength=shape[0] * shape[1]).reshape(shape)
    sizes = table.sum(1)[1:, None] + table.sum(0)[None, 1:]
    found: NDArray[np.float64] = 2 * table[1:, 1:] / np.maximum(sizes, 1)
    return found
