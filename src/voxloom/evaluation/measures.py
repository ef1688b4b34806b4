"""What is measured of label maps beside the usual metrics, and by which conventions: the recipe section ``evaluate``.

Knows names and numbers; the definitions are in ``further.py`` (Metrics Reloaded: Maier-Hein, Reinke et al., Nature Methods 2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from voxloom.errors import BadInput
from voxloom.evaluation.candidates import Confidence
from voxloom.evaluation.further import FURTHER, Goal, further_named, own_in


@dataclass(frozen=True)
class Probable:
    """A metric of probabilities: its definition, and whether large or small values are good."""

    what: str
    goal: Goal
    unit: str = ""


#: Metrics of every voxel's probability, one number per case and label; and what makes the table of lesion candidates.
PROBABLE: dict[str, Probable] = {
    "voxel_brier": Probable("mean squared distance of the label's probability from the truth, over voxels", "min"),
    "voxel_ece": Probable(
        "class-wise calibration error: mean distance of probability and share that is true, in 10 bins, over voxels",
        "min",
    ),
    "voxel_auroc": Probable(
        "chance that a voxel of the label has a larger probability than one outside, over all voxels", "max"
    ),
}
FROC = "froc"
#: All that may be asked for.
KNOWN = (*FURTHER, *PROBABLE, FROC)
_FROC_WHAT = (
    "sensitivity to lesions over false positives per case, its mean at 1/8, 1/4, 1/2, 1, 2, 4 and 8, and average precision; "
    "candidates are pieces of probability .5, .4, .3, .2 and .1 and above"
)

Empty = Literal["convention", "left_out", "penalty"]
#: The rule for empty masks, in words for tables.
EMPTY_RULES: dict[Empty, str] = {
    "convention": "both masks empty: overlap 1, distance 0; one empty: overlap 0, distance infinite",
    "left_out": "truth empty: left out and counted as undefined; prediction empty: overlap 0, distance infinite",
    "penalty": "both masks empty: overlap 1, distance 0; one empty: overlap 0, distance that of the image's diagonal",
}


class Measures(BaseModel):
    """What is measured; every field is a recipe key under ``evaluate:``.

    Parameters
    ----------
    metrics : further metrics beside the usual ones: names of ``FURTHER`` and ``PROBABLE``, "froc", or ``package.module:OBJECT``.
    hd95 : "directed", the larger of the two directed 95th percentiles (Metrics Reloaded, MONAI); or "pooled", the percentile of the
        distances of both directions together (MedPy, nnU-Net v1). They differ where the surfaces differ in size.
    empty : the rule for empty masks (``EMPTY_RULES``).
    tolerance_mm : of ``nsd`` and ``boundary_iou``: one number, or one per label.
    beta : of ``f_beta``; 2 counts a missed voxel four times as much as a wrong one.
    match : when a predicted lesion is a true one: "overlap" (any voxel), "iou" (``match_iou``), "center" (its center lies in it).
    match_iou : least IoU of a match.
    confidence : of a lesion candidate: the "mean" or the largest ("max") probability of its voxels.
    calibration_margin_mm : only voxels in the box around all true labels, grown by so many mm, count for the calibration of
        probabilities; None counts the whole image.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metrics: tuple[str, ...] = ()
    hd95: Literal["directed", "pooled"] = "directed"
    empty: Empty = "convention"
    tolerance_mm: float | dict[str, float] = 1.0
    beta: float = Field(2.0, gt=0)
    match: Literal["overlap", "iou", "center"] = "iou"
    match_iou: float = Field(0.1, gt=0, le=1)
    confidence: Confidence = "mean"
    calibration_margin_mm: float | None = Field(None, ge=0)

    @field_validator("metrics")
    @classmethod
    def _known(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        for name in metrics:
            if own_in([name]):
                further_named(name)
            elif name not in KNOWN:
                raise ValueError(f"no metric {name!r}; choose of {', '.join(KNOWN)}, or name package.module:OBJECT")
        return metrics

    @property
    def needs_maps(self) -> bool:
        """Whether something is measured of probabilities, which label maps do not hold."""
        return any(name in PROBABLE or name == FROC for name in self.metrics)

    def tolerance(self, label: str) -> float:
        """mm for one label.

        Raises
        ------
        BadInput : tolerances are given per label, and none for this one.
        """
        if not isinstance(self.tolerance_mm, dict):
            return self.tolerance_mm
        if label not in self.tolerance_mm:
            raise BadInput(
                f"no tolerance for label {label}", "evaluate.tolerance_mm", f"Add {label}: MM, or give one for all"
            )
        return self.tolerance_mm[label]

    def notes(self) -> list[str]:
        """The conventions in words, for tables and reports."""
        hd = {"directed": "the larger directed 95th percentile", "pooled": "95th percentile of both directions pooled"}
        told = [f"HD95: {hd[self.hd95]}", f"Empty masks: {EMPTY_RULES[self.empty]}"]
        told += [f"{name}: {self._definition(name)}" for name in self.metrics]
        return told

    def _definition(self, name: str) -> str:
        if name == FROC:
            return f"{_FROC_WHAT} (confidence: {self.confidence} probability; match: {self._match()}, one to one)"
        if name in PROBABLE:
            margin = self.calibration_margin_mm
            where = "the whole image" if margin is None else f"the box around the truth and {margin:g} mm"
            return f"{PROBABLE[name].what} (of {where})"
        text = further_named(name).what
        if name in ("nsd", "boundary_iou"):
            text += f" (tolerance {self.tolerance_mm} mm)"
        if name == "f_beta":
            text += f" (beta {self.beta:g})"
        if name in ("lesion_f1", "lesion_recall", "lesion_precision", "panoptic_quality"):
            text += f" (match: {self._match()})"
        return text

    def _match(self) -> str:
        return {
            "overlap": "any overlap",
            "iou": f"IoU of at least {self.match_iou:g}",
            "center": "the predicted center in the true lesion",
        }[self.match]


#: The usual metrics and conventions.
USUAL = Measures()
