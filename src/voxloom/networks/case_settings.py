"""What describes a network that answers for a whole image: classes or numbers. Knows no tensor.

One class per family; ``kind`` says which. ``in_channels`` and ``out_channels`` follow from the data.
"""

from __future__ import annotations

from typing import Annotated, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

Pooling = Literal["mean", "max", "both", "lse"]


class CaseNetworkBase(BaseModel):
    """What all families share.

    Parameters
    ----------
    dims : 2 or 3.
    in_channels : of the image; ``covariates`` numbers of the case come in beside its pooled features.
    out_channels : classes, or numbers (two per target where a likelihood is learned).
    head_dropout : probability that a pooled feature is silenced in training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dims: Literal[2, 3] = 3
    in_channels: int = Field(1, ge=1)
    out_channels: int = Field(1, ge=1)
    covariates: int = Field(0, ge=0)
    head_dropout: float = Field(0.0, ge=0, lt=1)

    @property
    def multiple(self) -> tuple[int, ...]:
        """Any size will do."""
        return (1,) * self.dims

    @property
    def places_answer(self) -> bool:
        """Whether every place gives answers of its own, of which each answer of the case is the largest."""
        return False


class EncoderSettings(CaseNetworkBase):
    """The contracting path of Voxloom's U-Net with pooling and a linear head: its weights may come from a segmentation run.

    Parameters
    ----------
    features : channels per level, finest first.
    strides, kernels : downsampling on entering each level, and size of its convolutions, per axis.
    residual : add the input of every pair of convolutions to its result.
    norm : "instance" or "batch".
    pooling : over the coarsest level: "mean", "max", "both" side by side; or "lse": every place gives answers of its own, whose smooth
        maximum (log-sum-exp, Pinheiro and Collobert 2015) is the case's, for classes that a small part of the scan decides.
    """

    kind: Literal["encoder"] = "encoder"
    features: tuple[int, ...] = Field((16, 32, 64, 128), min_length=3)
    strides: tuple[tuple[int, ...], ...] = ()
    kernels: tuple[tuple[int, ...], ...] = ()
    residual: bool = True
    norm: Literal["instance", "batch"] = "batch"
    pooling: Pooling = "mean"

    @property
    def places_answer(self) -> bool:
        """With ``pooling: lse``."""
        return self.pooling == "lse"

    @model_validator(mode="before")
    @classmethod
    def _levels(cls, given: object) -> object:
        """Strides of 2 and kernels of 3 where the levels alone are given."""
        if not isinstance(given, dict):
            return given
        dims, levels = int(given.get("dims", 3)), len(given.get("features", cls.model_fields["features"].default))
        halving = [[2] * dims for _ in range(levels)]
        return {
            **given,
            "strides": given.get("strides") or halving,
            "kernels": given.get("kernels") or [[3] * dims for _ in range(levels)],
        }

    @model_validator(mode="after")
    def _consistent(self) -> EncoderSettings:
        levels = len(self.features)
        if len(self.strides) != levels or len(self.kernels) != levels:
            raise ValueError(f"features, strides and kernels need one entry per level ({levels})")
        if any(len(entry) != self.dims for entry in (*self.strides, *self.kernels)):
            raise ValueError(f"strides and kernels need {self.dims} numbers per level")
        return self


class ResNetSettings(CaseNetworkBase):
    """Residual network (He et al. 2016), 2D or 3D, MONAI's; or with norm and activation before the convolutions.

    Parameters
    ----------
    depth : 10, 18, 34 or 50 layers.
    width : channels of the first stage; each stage doubles them.
    pre_activation : "Identity mappings in deep residual networks" (He et al. 2016b).
    stem_stride : of the first convolution; 1 keeps small images whole.
    stem_pool : a max pooling of 2 after it.
    """

    kind: Literal["resnet"]
    depth: Literal[10, 18, 34, 50] = 18
    width: int = Field(64, ge=4)
    pre_activation: bool = False
    stem_stride: Literal[1, 2] = 2
    stem_pool: bool = True


class DenseNetSettings(CaseNetworkBase):
    """Densely connected network (Huang et al. 2017), 2D or 3D, MONAI's."""

    kind: Literal["densenet"]
    depth: Literal[121, 169, 201] = 121
    growth: int = Field(32, ge=4)
    width: int = Field(64, ge=8)


class EfficientNetSettings(CaseNetworkBase):
    """EfficientNet (Tan and Le 2019), 2D or 3D, MONAI's."""

    kind: Literal["efficientnet"]
    version: Literal["b0", "b1", "b2", "b3", "b4"] = "b0"


class TimmSettings(CaseNetworkBase):
    """A 2D network of the timm library by its name, e.g. ``convnext_tiny`` or ``resnet50``; ImageNet weights by ``init.weights``."""

    kind: Literal["timm"]
    dims: Literal[2] = 2
    name: str = "convnext_tiny"


CaseNetworkSettings = Union[EncoderSettings, ResNetSettings, DenseNetSettings, EfficientNetSettings, TimmSettings]
CASE_FAMILIES: dict[str, type[CaseNetworkSettings]] = {
    "encoder": EncoderSettings,
    "resnet": ResNetSettings,
    "densenet": DenseNetSettings,
    "efficientnet": EfficientNetSettings,
    "timm": TimmSettings,
}
_BY_KIND = TypeAdapter[CaseNetworkSettings](Annotated[CaseNetworkSettings, Field(discriminator="kind")])


def case_network_settings(values: dict[str, object]) -> CaseNetworkSettings:
    """The settings object of a mapping; without ``kind`` an "encoder" (pydantic.ValidationError where a key does not fit)."""
    named = {"kind": "encoder", **values}
    family = CASE_FAMILIES.get(str(named["kind"]))
    return _BY_KIND.validate_python(named) if family is None else family.model_validate(named)
