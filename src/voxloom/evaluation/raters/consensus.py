"""One label map from those of several raters: majority, STAPLE, intersection, union.

Knows label values (each distinct value is voted on by itself); knows no files. Raters must lie on one grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset.labels import Labels
from voxloom.errors import BadInput
from voxloom.evaluation.case import check_grids
from voxloom.notes import tell
from voxloom.volume import Volume

Method = Literal["majority", "staple", "intersection", "union"]
#: STAPLE finds out who is reliable from how raters agree with the others.
TWO_RATERS = "two raters only: STAPLE nearly copies one of them; take majority (their intersection) or a third rater"
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class Consensus:
    """The agreed label map, and what STAPLE found out about the raters.

    Parameters
    ----------
    volume : (1, I, J, K) of outer label values.
    sensitivity, specificity : value of the label -> one number per rater; empty for the other methods.
    """

    volume: Volume
    sensitivity: dict[int, tuple[float, ...]]
    specificity: dict[int, tuple[float, ...]]


def consensus(volumes: Sequence[Volume], labels: Labels, method: Method = "majority") -> Consensus:
    """What several raters agree on.

    Parameters
    ----------
    volumes : label maps (1, I, J, K) of outer values, one per rater, on one grid.
    labels : whose values are voted on. A voxel that every rater ignores stays ignored.
    method : "majority": more than half of the raters chose the value; with two raters that is the intersection.
        "staple": probability of at least 0.5 by Warfield et al. (IEEE TMI 2004; SimpleITK), the most probable value first. Of two
        raters it nearly copies one, since nothing says who of two is right: that is told (``voxloom.notes``).
        "intersection": all chose it. "union": anyone did; among several values that with most votes, then the smaller one.

    Raises
    ------
    BadInput : fewer than two raters, an unknown method, or grids that differ.
    """
    if len(volumes) < 2:
        raise BadInput(f"a consensus needs at least two raters, not {len(volumes)}")
    if method not in METHODS:
        raise BadInput(f"no consensus method {method!r}", None, f"Choose one of {', '.join(METHODS)}")
    if method == "staple" and len(volumes) == 2:
        tell("staple", TWO_RATERS, warning=True)
    for other in volumes[1:]:
        check_grids(other, volumes[0])
    maps = np.stack([v.data[0] for v in volumes])
    support, sensitivity, specificity = [], {}, {}
    for value in labels.atoms:
        if method == "staple":
            probability, sensitivity[value], specificity[value] = staple(maps == value)
            support.append(np.where(probability >= 0.5, probability, 0.0).astype(np.float32))
        else:
            votes = (maps == value).sum(axis=0)
            support.append(np.where(votes >= _needed(method, len(maps)), votes, 0).astype(np.float32))
    best, strongest = np.argmax(support, axis=0), np.max(support, axis=0)
    values = np.array(labels.atoms)
    data = np.where(strongest > 0, values[best], labels.background)
    if labels.ignore is not None:
        data = np.where((maps == labels.ignore).all(axis=0), labels.ignore, data)
    outer = data.astype(np.min_scalar_type(max(labels.declared)))
    return Consensus(volumes[0].with_data(outer[None]), sensitivity, specificity)


def _needed(method: Method, raters: int) -> int:
    """Votes that a value needs."""
    return {"majority": raters // 2 + 1, "intersection": raters, "union": 1}[method]


def staple(masks: NDArray[np.bool_]) -> tuple[NDArray[np.float64], tuple[float, ...], tuple[float, ...]]:
    """STAPLE of masks (raters, I, J, K): probability per voxel, sensitivity and specificity per rater.

    Where no rater or every rater marked anything or nothing at all, the answer is certain and nothing is estimated.
    """
    import SimpleITK as sitk

    if not masks.any() or masks.all():
        certain = (1.0,) * len(masks)
        return masks[0].astype(np.float64), certain, certain
    images: list[Any] = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in masks]
    estimator = sitk.STAPLEImageFilter()
    estimator.SetForegroundValue(1.0)
    probability = sitk.GetArrayFromImage(estimator.Execute(images))
    return probability, tuple(estimator.GetSensitivity()), tuple(estimator.GetSpecificity())
