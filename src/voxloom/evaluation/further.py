"""Metrics that a study may ask for beside the usual ones: definition, unit, direction and function of each, in one place.

After Metrics Reloaded (Maier-Hein, Reinke et al., Nature Methods 2024, 21:195). Knows two masks of one label; no files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.evaluation.lesions import LesionMatch, MatchRule, Pieces, match_pieces
from voxloom.evaluation.surface import Mask, Spacing, SurfaceDistances, distance_to, surface
from voxloom.own import is_own, own_part

Goal = Literal["max", "min"]


@dataclass(frozen=True)
class MaskPair:
    """A predicted and a true mask of one label, cut to the box of both, and how they are to be measured.

    Parameters
    ----------
    prediction, truth : boolean (I, J, K).
    spacing : mm, order i j k.
    flat : axes without faces.
    voxels : that count in the whole image, for what is neither.
    tolerance, beta : mm of ``nsd`` and ``boundary_iou``; of ``f_beta``.
    rule : how lesions are matched.
    """

    prediction: Mask
    truth: Mask
    spacing: Spacing
    flat: tuple[int, ...]
    voxels: int
    tolerance: float
    beta: float
    rule: MatchRule

    @cached_property
    def counts(self) -> tuple[int, int, int, int]:
        """True and false positive, false and true negative voxels."""
        both, found, true = (
            int(np.count_nonzero(m)) for m in (self.prediction & self.truth, self.prediction, self.truth)
        )
        return both, found - both, true - both, self.voxels - found - true + both

    @cached_property
    def rims(self) -> tuple[tuple[Mask, NDArray[np.float32]], tuple[Mask, NDArray[np.float32]]]:
        """Of prediction and truth: the surface voxels, and the distance of every voxel to them in mm."""
        ours, theirs = (surface(np.ascontiguousarray(mask), self.flat) for mask in (self.prediction, self.truth))
        return (ours, distance_to(ours, self.spacing)), (theirs, distance_to(theirs, self.spacing))

    @cached_property
    def surfaces(self) -> SurfaceDistances | None:
        """Distances of the two surfaces; None where a mask is empty."""
        if not self.prediction.any() or not self.truth.any():
            return None
        (ours, to_ours), (theirs, to_theirs) = self.rims
        return SurfaceDistances(forward=to_theirs[ours], backward=to_ours[theirs])

    @cached_property
    def pieces(self) -> tuple[Pieces, Pieces]:
        """Connected pieces of prediction and truth."""
        return Pieces.of(self.prediction), Pieces.of(self.truth)

    @cached_property
    def lesions(self) -> LesionMatch:
        """Connected pieces of both masks, matched."""
        return match_pieces(*self.pieces, self.rule)


@dataclass(frozen=True)
class Further:
    """One metric.

    Parameters
    ----------
    what : its definition, in words for a table.
    unit : "" for shares, "mm" for distances.
    goal : whether large or small values are good; None for neither.
    compute : its value where neither mask is empty.
    absent : its values where both masks are empty, and where one is; NaN where it cannot be defined.
    """

    what: str
    unit: str
    goal: Goal | None
    compute: Callable[[MaskPair], float]
    absent: tuple[float, float] = (1.0, 0.0)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def specificity(pair: MaskPair) -> float:
    """TN / (TN + FP); near 1 for small structures whatever is found, and larger the more air is in the image."""
    _, wrong, _, rest = pair.counts
    return _share(rest, rest + wrong)


def balanced_accuracy(pair: MaskPair) -> float:
    """Mean of recall and specificity."""
    both, _, missed, _ = pair.counts
    return (_share(both, both + missed) + specificity(pair)) / 2


def mcc(pair: MaskPair) -> float:
    """Matthews (1975) correlation of the voxels; 0 where prediction or truth fills the image."""
    tp, fp, fn, tn = map(float, pair.counts)
    spread = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return (tp * tn - fp * fn) / spread if spread else 0.0


def f_beta(pair: MaskPair) -> float:
    """Weighted harmonic mean of precision and recall (van Rijsbergen 1979); beta 1 is Dice."""
    tp, fp, fn, _ = pair.counts
    weight = pair.beta**2
    return (1 + weight) * tp / ((1 + weight) * tp + weight * fn + fp)


def relative_volume_error(pair: MaskPair) -> float:
    """(Prediction - truth) / truth."""
    tp, fp, fn, _ = pair.counts
    return (fp - fn) / (tp + fn)


def masd(pair: MaskPair) -> float:
    """Mean of the two directed mean surface distances, in mm (ASSD pools both surfaces instead)."""
    found = pair.surfaces
    assert found is not None
    return float(found.forward.mean(dtype=np.float64) + found.backward.mean(dtype=np.float64)) / 2


def nsd(pair: MaskPair) -> float:
    """Share of both surfaces' voxels within the tolerance of the other surface (Nikolov et al. 2021, by voxels, not by area)."""
    found = pair.surfaces
    assert found is not None
    near = np.count_nonzero(found.forward <= pair.tolerance) + np.count_nonzero(found.backward <= pair.tolerance)
    return near / (len(found.forward) + len(found.backward))


def boundary_iou(pair: MaskPair) -> float:
    """IoU of the voxels of each mask within the tolerance of its border (Cheng et al. 2021)."""
    (_, to_ours), (_, to_theirs) = pair.rims
    a, b = pair.prediction & (to_ours <= pair.tolerance), pair.truth & (to_theirs <= pair.tolerance)
    return float(np.count_nonzero(a & b) / np.count_nonzero(a | b))


def cldice(pair: MaskPair) -> float:
    """Centerline Dice of tubes (Shit et al. 2021): harmonic mean of the shares of each skeleton inside the other mask.

    The skeleton is the morphological one (Lantuejoul 1978), which the paper's soft skeleton relaxes.
    """
    ours, theirs = skeleton(pair.prediction), skeleton(pair.truth)
    precise = np.count_nonzero(ours & pair.truth) / np.count_nonzero(ours)
    found = np.count_nonzero(theirs & pair.prediction) / np.count_nonzero(theirs)
    return 2 * precise * found / (precise + found) if precise + found else 0.0


def skeleton(mask: Mask) -> Mask:
    """What openings of the eroded mask lose, over all erosions; the outside of the array is background.

    Erosion by 6 neighbors, dilation by 26, as the paper's soft skeleton has them. A voxel is lost at the erosion before it vanishes,
    where no neighbor lasts longer: the skeleton is the local maxima (26 neighbors) of the taxicab distance to the outside.
    """
    from scipy.ndimage import distance_transform_cdt

    depth = distance_transform_cdt(np.pad(mask, 1), metric="taxicab")
    depth = depth.astype(np.min_scalar_type(int(depth.max(initial=0))))  # small numbers are compared several at a time
    highest = depth.copy()
    for axis in range(3):  # the largest of 26 neighbors, one axis after the other
        before, line = highest.copy(), [slice(None)] * 3
        for low, high in ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))):
            line[axis] = low
            into, line[axis] = highest[tuple(line)], high
            np.maximum(into, before[tuple(line)], out=into)
    inner: Mask = (mask & (depth == highest)[1:-1, 1:-1, 1:-1]).astype(bool)
    return inner


#: Every further metric by name.
FURTHER: dict[str, Further] = {
    "specificity": Further("share of voxels outside that are left alone", "", "max", specificity, (1.0, math.nan)),
    "balanced_accuracy": Further("mean of recall and specificity", "", "max", balanced_accuracy, (1.0, math.nan)),
    "mcc": Further("Matthews correlation of voxels", "", "max", mcc),
    "f_beta": Further("weighted harmonic mean of precision and recall", "", "max", f_beta),
    "relative_volume_error": Further("(prediction - truth) / truth", "", None, relative_volume_error, (0.0, math.nan)),
    "masd": Further("mean of the two directed mean surface distances", "mm", "min", masd, (0.0, math.inf)),
    "nsd": Further("normalized surface Dice: share of both surfaces within the tolerance", "", "max", nsd),
    "boundary_iou": Further("IoU of the rims of both masks, as wide as the tolerance", "", "max", boundary_iou),
    "cldice": Further("centerline Dice, for tubes", "", "max", cldice),
    "lesion_f1": Further("F1 of connected pieces", "", "max", lambda pair: pair.lesions.f1),
    "lesion_recall": Further(
        "share of true pieces that are found", "", "max", lambda pair: pair.lesions.recall, (math.nan, math.nan)
    ),
    "lesion_precision": Further(
        "share of predicted pieces that are true", "", "max", lambda pair: pair.lesions.precision, (math.nan, math.nan)
    ),
    "panoptic_quality": Further(
        "sum of the IoU of found pieces over found + half of missed and invented ones (Kirillov 2019)",
        "",
        "max",
        lambda pair: pair.lesions.panoptic_quality,
    ),
}


#: Entry points under which packages offer metrics.
OWN_METRICS = "voxloom.metrics"


def further_named(name: str) -> Further:
    """The metric of a name: one of ``FURTHER``, or a :class:`Further` of another package (``package.module:OBJECT``).

    Raises
    ------
    BadInput : there is none, or the object of another package is something else.
    """
    if name in FURTHER:
        return FURTHER[name]
    found = own_part(name, OWN_METRICS, "evaluate.metrics")
    if not isinstance(found, Further):
        raise BadInput(f"{name} is not a voxloom.evaluation.further.Further", "`evaluate.metrics`", "Make it one")
    return found


def own_in(names: Iterable[str]) -> list[str]:
    """Those that are metrics of other packages."""
    return [name for name in names if is_own(name, OWN_METRICS)]
