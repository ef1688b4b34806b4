"""What tasks with one answer per case share of their recipe sections. Knows no data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from voxloom.dataset.focus import Focus


def _several(given: Any) -> Any:
    return (given,) if isinstance(given, str) else given


#: Names of columns; one may stand alone.
Columns = Annotated[tuple[str, ...], BeforeValidator(_several)]


class CropSettings(BaseModel):
    """Key ``crop``: what of a scan is looked at, instead of all of it.

    Parameters
    ----------
    around : a "mask" (the label map of a case), or a "point" (of the case's landmarks, or of three columns).
    masks : columns of several raters' masks, whose union counts; empty takes the label map.
    labels : values of the masks that count; empty takes all but 0.
    margin_mm, margin_voxels : by how much the mask is grown.
    keep_outside : whether voxels outside the grown mask stay; else they become the smallest value of the box.
    size_mm : of the box along i, j, k around the middle; None takes the box of the grown mask. A point needs it.
    columns : three columns with the point's x, y, z in RAS mm.
    landmark : name of the landmark; None takes the only one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    around: Literal["mask", "point"] = "mask"
    masks: Columns = ()
    labels: tuple[int, ...] = ()
    margin_mm: float = Field(0.0, ge=0)
    margin_voxels: int = Field(0, ge=0)
    keep_outside: bool = True
    size_mm: tuple[float, float, float] | None = None
    columns: Columns = ()
    landmark: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> CropSettings:
        if self.around == "point" and self.size_mm is None:
            raise ValueError("a crop around a point needs size_mm")
        if self.size_mm is not None and min(self.size_mm) <= 0:
            raise ValueError("size_mm must be above 0")
        if self.columns and len(self.columns) != 3:
            raise ValueError("columns must name x, y and z")
        return self

    @property
    def focus(self) -> Focus:
        """The same as a data set knows it."""
        return Focus(self.labels, self.margin_mm, self.margin_voxels, self.size_mm, self.keep_outside)


class WholeCaseSettings(BaseModel):
    """Keys of ``classification:`` and ``regression:``.

    Parameters
    ----------
    target : column or columns that are learned; None takes the data set's own target.
    covariates : numeric columns that the network sees beside the image, scaled by the training cases.
    oversample : attribute columns and how often a case is drawn in a pass where the attribute is neither empty, 0, no nor false.
    mixup : parameter of mixup's Beta distribution (Zhang et al. 2018); 0 mixes nothing.
    promise : chance with which conformal sets or intervals hold the truth of a new patient.
    crop : what of a scan is looked at; None looks at all of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: Columns = ()
    covariates: tuple[str, ...] = ()
    oversample: dict[str, int] = {}
    mixup: float = Field(0.0, ge=0)
    promise: float = Field(0.9, gt=0.5, lt=1)
    crop: CropSettings | None = None


class ClassificationSettings(WholeCaseSettings):
    """Recipe section ``classification:``.

    Parameters
    ----------
    classes : names in their order, the positive one last; None takes those of the training cases, sorted. Numbers become classes by
        rules: ``{benign: "<3", malignant: ">3"}``, and cases that no rule takes are dropped and counted.
    multi_label : every column of ``target`` is a finding of its own (0 or 1, empty where unknown).
    ordinal : the classes have an order that the loss knows (Cheng et al. 2008: one output per step).
    raters : what is made of several raters' columns in ``target``: their "median", the "majority", or their "distribution".
    loss : cross-entropy ("ce") or "focal" (Lin et al. 2017) with ``gamma``.
    gamma, label_smoothing : of the loss.
    class_weights : "balanced" gives n / (k n_c) to class c; "none" one to each.
    balance : share of the way to equally many draws of every class in a pass, 0 (as they are) to 1.
    thresholds : probabilities of the positive class from which on a case is called positive; sensitivity, specificity and
        predictive values are told at each. Two classes, or findings.
    """

    classes: tuple[str, ...] | dict[str, str] | None = None
    multi_label: bool = False
    ordinal: bool = False
    raters: Literal["median", "majority", "distribution"] = "median"
    loss: Literal["ce", "focal"] = "ce"
    gamma: float = Field(2.0, ge=0)
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    class_weights: Literal["balanced", "none"] = "none"
    balance: float = Field(0.0, ge=0, le=1)
    thresholds: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)

    @model_validator(mode="after")
    def _one_kind(self) -> ClassificationSettings:
        if any(not 0 < t < 1 for t in self.thresholds):
            raise ValueError("thresholds must lie between 0 and 1")
        if self.multi_label and self.ordinal:
            raise ValueError("multi_label and ordinal cannot be combined")
        return self


class RegressionSettings(WholeCaseSettings):
    """Recipe section ``regression:``.

    Parameters
    ----------
    loss : "l1", "mse", "huber" with ``delta`` (in SDs of the training targets), or "gaussian": the network also says how unsure it
        is (Nix and Weigend 1994; Kendall and Gal 2017).
    least, most : values outside are refused as impossible, e.g. an age below 0.
    bands : ends of bands of the true value, in its units, that errors are told for, e.g. [0, 20, 40, 60, 80]; empty takes four bands
        with equally many cases.
    """

    loss: Literal["l1", "mse", "huber", "gaussian"] = "huber"
    delta: float = Field(1.0, gt=0)
    least: float | None = None
    most: float | None = None
    bands: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _rising(self) -> RegressionSettings:
        if list(self.bands) != sorted(set(self.bands)) or len(self.bands) == 1:
            raise ValueError("bands must be at least two rising numbers")
        return self
