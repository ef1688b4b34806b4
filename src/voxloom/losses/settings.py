"""What describes a loss: its name and its constants. Knows no tensor."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, field_validator, model_validator

from voxloom.own import is_own, own_part
from voxloom.own_settings import NamedPart

#: Entry points under which packages offer losses.
LOSSES = "voxloom.losses"

LossKind = Literal[
    "dice_ce",
    "dice",
    "negative_dice",
    "jaccard",
    "tanimoto",
    "focal_tversky",
    "ce",
    "balanced_ce",
    "bce",
    "focal",
    "dice_focal",
    "tanimoto_ce",
]


class LossSettings(NamedPart):
    """A loss; recipe key ``training.loss``, either these keys or the kind alone.

    Parameters
    ----------
    kind : "dice_ce" (the sum), "dice" (1 - Dice), "negative_dice" (-Dice), "jaccard", "tanimoto", "focal_tversky"; "ce"
        (cross-entropy), "balanced_ce" (every class of the batch with equal weight), "bce" (binary cross-entropy of every
        label on its own), "focal"; "dice_focal" (the sum), "tanimoto_ce" (``mix`` says how).
        Or a loss of another package: ``package.module:CLASS``, or the short name that it is offered by (``voxloom.losses``).
    options : arguments of the class of another package.
    weights : importance of every output (background first, unless the labels are regions); "counts" takes the count of the
        rarest label divided by each label's own, over the training cases; None for equal importance.
    smooth : added to numerator and denominator of every overlap.
    alpha, beta : of Tversky: weight of missed and of invented voxels (Salehi et al. 2017).
    exponent : of focal Tversky, the power of 1 - Tversky; 3/4 as Abraham and Khan 2019 (their gamma is 4/3, used as 1/gamma).
    gamma : of focal: the power of 1 - p (Lin et al. 2017).
    share : of Tanimoto in "tanimoto_ce"; cross-entropy has the rest.
    mix : of "tanimoto_ce": "sum" share * T + (1 - share) * CE, "product" T^share * CE^(1 - share), or "powers"
        T^share + CE^(1 - share).
    """

    kind: LossKind | str = "dice_ce"
    weights: tuple[float, ...] | Literal["counts"] | None = None
    smooth: float = Field(1e-5, gt=0)
    alpha: float = Field(0.7, gt=0)
    beta: float = Field(0.3, gt=0)
    exponent: float = Field(0.75, gt=0)
    gamma: float = Field(2.0, ge=0)
    share: float = Field(0.6, gt=0, lt=1)
    mix: Literal["sum", "product", "powers"] = "sum"

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        """A name is one of Voxloom's, or can be loaded."""
        if is_own(kind, LOSSES):
            own_part(kind, LOSSES, "training.loss")
        elif kind not in get_args(LossKind):
            listed = ", ".join(get_args(LossKind))
            raise ValueError(f"there is no such loss; choose of {listed}, or name package.module:CLASS")
        return kind

    @model_validator(mode="after")
    def _options_of_own(self) -> LossSettings:
        if self.options and not self.is_own:
            raise ValueError("options are for a loss of another package")
        return self

    @property
    def is_own(self) -> bool:
        """Whether the loss is another package's."""
        return is_own(self.kind, LOSSES)

    @model_validator(mode="after")
    def _positive(self) -> LossSettings:
        if isinstance(self.weights, tuple) and min(self.weights, default=0) <= 0:
            raise ValueError("weights must be above 0, one per output")
        return self
