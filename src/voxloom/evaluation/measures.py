"""What is measured of label maps beside the usual metrics, and by which conventions: the recipe section ``evaluate``.

Knows names and numbers; the definitions are in ``further.py`` (Metrics Reloaded: Maier-Hein, Reinke et al., Nature Methods 2024).
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from voxloom.errors import BadInput
from voxloom.evaluation.further import FURTHER, OWN_METRICS, further_named
from voxloom.own import is_own

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
    metrics : further metrics beside the usual ones: names of ``FURTHER``, or ``package.module:OBJECT`` of another package.
    hd95 : "directed", the larger of the two directed 95th percentiles (Metrics Reloaded, MONAI); or "pooled", the percentile of the
        distances of both directions together (MedPy, nnU-Net v1). They differ where the surfaces differ in size.
    empty : the rule for empty masks (``EMPTY_RULES``).
    tolerance_mm : of ``nsd`` and ``boundary_iou``: one number, or one per label.
    beta : of ``f_beta``; 2 counts a missed voxel four times as much as a wrong one.
    match : when a predicted lesion is a true one: "overlap" (any voxel), "iou" (``match_iou``), "center" (its center lies in it).
    match_iou : least IoU of a match.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metrics: tuple[str, ...] = ()
    hd95: Literal["directed", "pooled"] = "directed"
    empty: Empty = "convention"
    tolerance_mm: float | dict[str, float] = 1.0
    beta: float = Field(2.0, gt=0)
    match: Literal["overlap", "iou", "center"] = "iou"
    match_iou: float = Field(0.1, gt=0, le=1)

    @field_validator("metrics")
    @classmethod
    def _known(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        for name in metrics:
            if name not in FURTHER and not is_own(name, OWN_METRICS):
                raise ValueError(f"no metric {name!r}; choose of {', '.join(FURTHER)}, or name package.module:OBJECT")
            further_named(name)
        return metrics

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
        text = further_named(name).what
        if name in ("nsd", "boundary_iou"):
            text += f" (tolerance {self.tolerance_mm} mm)"
        if name == "f_beta":
            text += f" (beta {self.beta:g})"
        if name in ("lesion_f1", "lesion_recall", "lesion_precision", "panoptic_quality"):
            rule = {
                "overlap": "any overlap",
                "iou": f"IoU of at least {self.match_iou:g}",
                "center": "the predicted center in the true lesion",
            }
            text += f" (match: {rule[self.match]})"
        return text


#: The usual metrics and conventions.
USUAL = Measures()
