"""The metrics of one mask against another, with the rule for empty masks (``Measures.empty``).

By the usual one: both empty, Dice 1 and distances 0; one empty, Dice 0 and distances infinite. The kind of every comparison is kept,
so that no figure hides them. Knows no labels and no files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from voxloom.evaluation.further import FURTHER, MaskPair, further_named, own_in
from voxloom.evaluation.lesions import MatchRule
from voxloom.evaluation.measures import USUAL, Measures
from voxloom.evaluation.surface import Mask, Spacing, common_box, flat_axes
from voxloom.evaluation.units import MM, PIXEL

Kind = Literal["ok", "both_empty", "truth_empty", "prediction_empty"]

#: Names of the numbers, in the order of ``metrics.csv``.
METRICS = (
    "dice", "iou", "precision", "recall", "hd", "hd95", "assd", "volume_ml_prediction", "volume_ml_truth", "volume_error_ml",
    "objects_prediction", "objects_truth",
)  # fmt: skip


@dataclass(frozen=True)
class VoxelCounts:
    """Voxels of a mask by truth (positive, negative) and by whether the prediction is right."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def predicted(self) -> int:
        """Of the prediction."""
        return self.true_positive + self.false_positive

    @property
    def true(self) -> int:
        """Of the truth."""
        return self.true_positive + self.false_negative


@dataclass(frozen=True)
class MaskMetrics:
    """Agreement of a predicted mask with the truth.

    Parameters
    ----------
    dice, iou, precision, recall : 0 to 1 (Dice 1945; Jaccard 1912).
    hd, hd95, assd : in ``unit``; infinite when one mask is empty.
    volume_ml_prediction, volume_ml_truth, volume_error_ml : ml, or pixels; error is prediction minus truth.
    objects_prediction, objects_truth : connected pieces of each mask (26 neighbors), as the cervical cancer study counts them;
        not a number where they were not counted.
    kind : which of the masks were empty.
    further : the metrics of ``Measures.metrics`` by name.
    counts : of voxels; None where the figures were read from a table, which does not hold them.
    unit : of distances, ``"mm"``; ``"pixel"`` where the images have no voxel size.
    """

    dice: float
    iou: float
    precision: float
    recall: float
    hd: float
    hd95: float
    assd: float
    volume_ml_prediction: float
    volume_ml_truth: float
    volume_error_ml: float
    kind: Kind
    unit: str = MM
    objects_prediction: float = math.nan
    objects_truth: float = math.nan
    further: Mapping[str, float] = field(default_factory=dict)
    counts: VoxelCounts | None = field(default=None, compare=False)

    def value(self, name: str) -> float:
        """A metric by its name, usual or further; KeyError for one that was not measured."""
        return float(getattr(self, name)) if name in METRICS else self.further[name]

    def to_dict(self) -> dict[str, Any]:
        """Names and values."""
        return asdict(self)


def dice_score(prediction: Mask, truth: Mask) -> float:
    """Dice of two boolean arrays of one shape; 1 when both are empty."""
    size = int(np.count_nonzero(prediction)) + int(np.count_nonzero(truth))
    return 2.0 * int(np.count_nonzero(prediction & truth)) / size if size else 1.0


def kind_of(predicted: int, true: int) -> Kind:
    """Which masks are empty, from their voxel counts."""
    if predicted and true:
        return "ok"
    if not predicted and not true:
        return "both_empty"
    return "prediction_empty" if true else "truth_empty"


@dataclass(frozen=True)
class WholeImage:
    """The image that two masks were cut out of: its shape, and how many of its voxels count."""

    shape: tuple[int, ...]
    voxels: int


def mask_metrics(
    prediction: Mask,
    truth: Mask,
    spacing: Spacing,
    valid: Mask | None = None,
    whole: WholeImage | None = None,
    unit: str = MM,
    measures: Measures = USUAL,
    label: str = "",
) -> MaskMetrics:
    """All metrics of one mask; work and memory beyond one look at the masks are those of the box that holds both.

    Parameters
    ----------
    prediction, truth : boolean (I, J, K) of one shape.
    spacing : mm, order i j k.
    valid : where voxels count; elsewhere both masks are taken as empty, for overlap, volume and surface alike.

    unit : of ``spacing``.
    measures : further metrics, and the conventions.
    label : whose mask this is, for a tolerance of its own.
    whole : the image, where the masks were cut out of a larger one; None where they are all of it.

    Raises
    ------
    ValueError : the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"masks of different shape: {prediction.shape} and {truth.shape}")
    image = whole or WholeImage(truth.shape, truth.size if valid is None else int(np.count_nonzero(valid)))
    pair = _in_their_box(prediction, truth, spacing, valid, image, measures, label)
    counts = VoxelCounts(*pair.counts)
    kind, far = kind_of(counts.predicted, counts.true), _far(image, spacing, measures)
    dice, iou, precision, recall = _overlap(counts)
    hd, hd95, assd = _distances(pair, measures, 0.0 if kind == "both_empty" else far)
    ml = float(np.prod(spacing)) / (1.0 if unit == PIXEL else 1000.0)
    found = MaskMetrics(
        dice=dice,
        iou=iou,
        precision=precision,
        recall=recall,
        hd=hd,
        hd95=hd95,
        assd=assd,
        volume_ml_prediction=counts.predicted * ml,
        volume_ml_truth=counts.true * ml,
        volume_error_ml=(counts.predicted - counts.true) * ml,
        kind=kind,
        unit=unit,
        objects_prediction=float(pair.pieces[0].count),
        objects_truth=float(pair.pieces[1].count),
        counts=counts,
        further=_all_further(pair, measures, kind, far),
    )
    return _undefined(found) if measures.empty == "left_out" and not counts.true else found


def _in_their_box(
    prediction: Mask,
    truth: Mask,
    spacing: Spacing,
    valid: Mask | None,
    image: WholeImage,
    measures: Measures,
    label: str,
) -> MaskPair:
    """Both masks where voxels count, cut to the box that holds them; an empty one where both are empty."""
    box = common_box(prediction, truth) or (slice(0, 0),) * 3
    ours, theirs = (np.ascontiguousarray(mask[box]) for mask in (prediction, truth))
    if valid is not None:
        ours, theirs = ours & valid[box], theirs & valid[box]
    rule, tolerance = MatchRule(measures.match, measures.match_iou), measures.tolerance(label)
    return MaskPair(ours, theirs, spacing, flat_axes(image.shape), image.voxels, tolerance, measures.beta, rule)


def _far(image: WholeImage, spacing: Spacing, measures: Measures) -> float:
    """The distance of a mask from an empty one: infinite, or by the penalty the diagonal of the image."""
    if measures.empty != "penalty":
        return math.inf
    return float(np.linalg.norm(np.array(image.shape) * np.array(spacing)))


def _overlap(counts: VoxelCounts) -> tuple[float, float, float, float]:
    """Dice, IoU, precision and recall; 1 where both masks are empty."""
    both, predicted, true = counts.true_positive, counts.predicted, counts.true
    if not predicted and not true:
        return 1.0, 1.0, 1.0, 1.0
    precision = both / predicted if predicted else 0.0
    recall = both / true if true else 0.0
    return 2.0 * both / (predicted + true), both / (predicted + true - both), precision, recall


def _distances(pair: MaskPair, measures: Measures, apart: float) -> tuple[float, float, float]:
    """Hausdorff distance, its 95th percentile and the mean distance of the surfaces; ``apart`` where a mask is empty."""
    if (found := pair.surfaces) is None:
        return apart, apart, apart
    percentile = found.pooled_percentile if measures.hd95 == "pooled" else found.hd_percentile
    return found.hd, percentile(95), found.assd


def _undefined(found: MaskMetrics) -> MaskMetrics:
    """The same without figures, where an empty truth leaves them undefined."""
    undefined = dict.fromkeys(("dice", "iou", "precision", "recall", "hd", "hd95", "assd"), math.nan)
    return replace(found, **undefined, further=dict.fromkeys(found.further, math.nan))  # type: ignore[arg-type]


def _all_further(pair: MaskPair, measures: Measures, kind: Kind, far: float) -> dict[str, float]:
    """The further metrics that are asked for, by name."""
    asked = [name for name in measures.metrics if name in FURTHER or own_in([name])]
    return {name: _further(name, pair, kind, far) for name in asked}


def _further(name: str, pair: MaskPair, kind: Kind, far: float) -> float:
    """A further metric, by its own values where a mask is empty."""
    metric = further_named(name)
    if kind == "ok":
        return float(metric.compute(pair))
    if kind != "both_empty" and name in ("lesion_recall", "lesion_precision"):
        return float(metric.compute(pair))  # defined by the side that has pieces
    value = metric.absent[kind != "both_empty"]
    return far if math.isinf(value) else value
