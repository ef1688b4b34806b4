"""Which metrics fit the labels of a data set, and why: the questions of Metrics Reloaded, answered from the true masks.

After Maier-Hein, Reinke et al. (Nature Methods 2024, 21:195), the branch of semantic segmentation and that of instances. Knows
masks of one label, their grid, and words; asks nobody.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from voxloom.boxes import bounding_box
from voxloom.connected import connected
from voxloom.dataset.labels import Labels
from voxloom.evaluation.surface import Mask, Spacing, surface
from voxloom.volume import Volume

#: Answers: a structure of fewer voxels in its median case is small, of fewer voxels across thin.
SMALL, THIN = 500, 4.0
#: Longer than wide by this factor makes a tube; so many pieces in the median case make instances.
LONG, SEVERAL = 10.0, 2
#: A label that fills less than this share of the image is rare; sizes that differ more than this (90th over 10th percentile) differ.
RARE, UNLIKE = 0.01, 10.0


@dataclass(frozen=True)
class MaskShape:
    """The shape of one label in one case: voxels, share of the image, pieces, width in voxels, length over width."""

    voxels: int
    share: float
    pieces: int
    width: float
    elongation: float


@dataclass(frozen=True)
class Suggestion:
    """A metric, and why it belongs into the report (or, with ``fits`` False, why it misleads here)."""

    metric: str
    fits: bool
    why: str


def shapes_of(truth: Volume, labels: Labels) -> dict[str, MaskShape]:
    """The shape of every label of a true label map (1, I, J, K)."""
    valid = labels.valid(truth.data[0])
    return {
        name: mask_shape(mask if valid is None else mask & valid, truth.spacing)
        for name, mask in labels.masks(truth.data[0])
    }


def mask_shape(mask: Mask, spacing: Spacing) -> MaskShape:
    """Measure one mask (I, J, K).

    Width is twice the largest distance of a voxel to the surface, in voxels of the finest axis; elongation the length of a round tube
    of that width and of a piece's volume, over the width (2/3 for a ball).
    """
    import edt

    box = bounding_box(mask)
    if box is None:
        return MaskShape(0, 0.0, 0, 0.0, 0.0)
    inside = np.ascontiguousarray(mask[box])
    pieces = int(connected(inside).max())
    flat = tuple(n for n in range(3) if mask.shape[n] == 1)
    finest = min(spacing)
    depth = edt.edt(~surface(inside, flat), anisotropy=spacing, black_border=False)[inside] / finest
    width = 1.0 + 2.0 * float(depth.max())
    count = int(np.count_nonzero(inside))
    volume = count * float(np.prod(spacing)) / finest**3
    return MaskShape(count, count / mask.size, pieces, width, volume / pieces / (math.pi / 4 * width**3))


def label_answers(shapes: Sequence[MaskShape]) -> dict[str, Any]:
    """The answers for one label over its cases: figures, and what they make true.

    Returns
    -------
    cases, empty (cases without it), median voxels, share, pieces, width and elongation of the others; ``small``, ``thin``, ``tube``,
    ``instances``, ``rare``, ``unlike_sizes`` and ``can_be_empty``.
    """
    there = [s for s in shapes if s.voxels]
    figures: dict[str, Any] = {"cases": len(shapes), "empty": len(shapes) - len(there)}
    for name in ("voxels", "share", "pieces", "width", "elongation"):
        values = [float(getattr(s, name)) for s in there]
        figures[name] = float(np.median(values)) if values else math.nan
    sizes = np.percentile([s.voxels for s in there], [10, 90]) if there else np.ones(2)
    return {
        **figures,
        "small": figures["voxels"] < SMALL,
        "thin": figures["width"] < THIN,
        "tube": figures["elongation"] > LONG,
        "instances": figures["pieces"] >= SEVERAL,
        "rare": figures["share"] < RARE,
        "unlike_sizes": bool(sizes[1] > UNLIKE * sizes[0]),
        "can_be_empty": bool(figures["empty"]),
    }


def suggest(answers: Mapping[str, Any]) -> list[Suggestion]:
    """The metrics for one label, each with its reason in words."""
    size = f"{answers['voxels']:.0f} voxels in the median case"
    wide = f"{answers['width']:.1f} voxels wide"
    found = [_overlap(answers, wide), _surface(answers, size, wide)]
    if answers["tube"]:
        long = f"{answers['elongation']:.0f} times as long as wide"
        found.append(Suggestion("cldice", True, f"{long}: a gap or a missed branch matters more than the width"))
    if answers["small"]:
        why = f"{size}: one voxel more or less moves Dice and HD95 strongly; a lesion is found or not"
        found += [
            Suggestion("lesion_f1", True, why),
            Suggestion("hd95", False, f"{size}: of few surface voxels 5 % is hardly one"),
        ]
    elif answers["instances"]:
        why = f"{answers['pieces']:.0f} pieces in the median case: Dice over all of them hides missed small ones"
        found += [
            Suggestion("lesion_f1", True, why),
            Suggestion("panoptic_quality", True, "the same, with how well each is outlined"),
        ]
    if answers["rare"]:
        why = f"{100 * answers['share']:.2g} % of the image: all that is outside is right by itself"
        found.append(Suggestion("specificity", False, why))
    if answers["unlike_sizes"]:
        why = "the largest tenth is over ten times the smallest: the mean Dice is that of the small ones; volumes say how far off"
        found.append(Suggestion("relative_volume_error", True, why))
    if answers["can_be_empty"]:
        why = (
            f"{answers['empty']} of {answers['cases']} cases have none: say what an empty mask scores (evaluate.empty: left_out, with "
            "lesion_precision)"
        )
        found.append(Suggestion("lesion_precision", True, why))
    return found


def _overlap(answers: Mapping[str, Any], wide: str) -> Suggestion:
    if answers["tube"] or answers["thin"]:
        return Suggestion(
            "dice",
            True,
            f"the usual overlap, but {wide}: a shift by one voxel costs much; read it with a surface metric",
        )
    return Suggestion("dice", True, "the usual overlap; large enough that single voxels do not decide")


def _surface(answers: Mapping[str, Any], size: str, wide: str) -> Suggestion:
    if answers["small"] or answers["thin"]:
        return Suggestion("nsd", True, f"{wide}: errors within the raters' own (tolerance_mm) should cost nothing")
    return Suggestion(
        "masd", True, f"{size}: the mean distance of the outlines, which overlap of a large structure hides"
    )


def chosen(suggestions: Mapping[str, Sequence[Suggestion]]) -> list[str]:
    """The further metrics to ask for, of all labels together, in the order of ``FURTHER``."""
    from voxloom.evaluation.further import FURTHER

    wanted = {s.metric for found in suggestions.values() for s in found if s.fits}
    return [name for name in FURTHER if name in wanted]


def as_json(
    answers: Mapping[str, Mapping[str, Any]], suggestions: Mapping[str, Sequence[Suggestion]]
) -> dict[str, Any]:
    """Answers and suggestions per label, and the metrics to ask for."""
    labels = {
        label: {"answers": dict(answers[label]), "suggestions": [asdict(s) for s in found]}
        for label, found in suggestions.items()
    }
    return {"labels": labels, "metrics": chosen(suggestions)}
