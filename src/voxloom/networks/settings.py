"""What describes a network; everything that is needed to build it again. Knows no tensor.

One class per family; ``kind`` says which. Where weights come from is not part of a network's description
(recipe section ``init``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

from voxloom.own import is_own, own_part

#: Entry points under which packages offer networks.
NETWORKS = "voxloom.networks"


class _Network(BaseModel):
    """What all families share; the planner fills the number of channels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dims: Literal[2, 3]
    in_channels: int = Field(ge=1)
    out_channels: int = Field(ge=1)


class _OneOutput(_Network):
    """Families that train their final output only, and take images of any size."""

    @property
    def deep_supervision(self) -> int:
        """Number of outputs that are trained."""
        return 1

    @property
    def multiple(self) -> tuple[int, ...]:
        """Voxels per axis that an input's size must be a multiple of: any size will do."""
        return (1,) * self.dims


class NetworkSettings(_Network):
    """A dynamic U-Net; every field is a recipe key under ``network:``.

    Parameters
    ----------
    kind : "unet" (two convolutions per level) or "resunet" (the same with a residual connection).
    dims : 2 or 3.
    in_channels, out_channels : image channels; background and labels, or one output per region.
    features : channels per level, finest first.
    strides : downsampling on entering each level, per axis. A first stride beyond 1 makes a network that works on coarser
        cells than voxels: its first convolution strides, and every output cell says what all its voxels are.
    kernels : convolution size per level and axis.
    deep_supervision : outputs that are trained, finest first; 1 trains the final one only.
    dropout : probability that a feature is silenced in training.
    dropout_in : "all" convolutions are followed by it, or it lies between the two convolutions of each "contracting" pair, or of
        the "bottleneck" alone.
    norm : "instance" (statistics per patch) or "batch".
    """

    kind: Literal["unet", "resunet"] = "unet"
    features: tuple[int, ...] = Field(min_length=3)
    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]
    deep_supervision: int = Field(1, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    dropout_in: Literal["all", "contracting", "bottleneck"] = "all"
    norm: Literal["instance", "batch"] = "instance"

    @model_validator(mode="after")
    def _consistent(self) -> NetworkSettings:
        levels = len(self.features)
        if len(self.strides) != levels or len(self.kernels) != levels:
            raise ValueError(
                f"{levels} features, {len(self.strides)} strides and {len(self.kernels)} kernels: every level needs one of each"
            )
        if any(len(entry) != self.dims for entry in (*self.strides, *self.kernels)):
            raise ValueError(f"strides and kernels need {self.dims} numbers per level")
        if any(n < 1 for stride in self.strides for n in stride):
            raise ValueError("strides must be at least 1")
        if self.deep_supervision >= levels:
            raise ValueError(f"deep_supervision must be below the number of levels ({levels})")
        return self

    @property
    def multiple(self) -> tuple[int, ...]:
        """Voxels per axis that an input's size must be a multiple of."""
        products = [1] * self.dims
        for stride in self.strides:
            products = [p * s for p, s in zip(products, stride, strict=True)]
        return tuple(products)


EncoderName = Literal["resnet34", "resnet50", "inceptionv4"]


class EncoderNetworkSettings(_OneOutput):
    """A decoder on an encoder known from photographs, 2D; batch norm.

    Parameters
    ----------
    kind : "encoder_unet" (Ronneberger et al. 2015), "fpn" (Kirillov et al. 2017), "linknet" (Chaurasia and Culurciello
        2017) or "pspnet" (Zhao et al. 2017).
    encoder : "resnet34", "resnet50" (He et al. 2016) or "inceptionv4" (Szegedy et al. 2017).
    """

    kind: Literal["encoder_unet", "fpn", "linknet", "pspnet"]
    dims: Literal[2] = 2
    encoder: EncoderName = "resnet34"


class DynamicUNetSettings(_OneOutput):
    """A 2D U-Net whose decoder follows from its encoder, with pixel-shuffle upsampling (Shi et al. 2016).

    Parameters
    ----------
    encoder : as in ``EncoderNetworkSettings``.
    blur : smooth after each pixel shuffle over 2 x 2 pixels, against the checkerboard that is left (Sugawara et al. 2018).
    dropout : probability that a feature between encoder and decoder is silenced in training.
    """

    kind: Literal["dynamic_unet"]
    dims: Literal[2] = 2
    encoder: EncoderName = "resnet34"
    blur: bool = True
    dropout: float = Field(0.0, ge=0, lt=1)


class MixedScaleSettings(_OneOutput):
    """The mixed-scale dense network (Pelt and Sethian 2017), 2D or 3D.

    Parameters
    ----------
    depth : number of layers.
    width : channels that each layer adds.
    dilations : largest dilation; layers cycle through 1 to this.
    form : "original" (reflection padding, ReLU) or "normalized" (zero padding, instance norm, LeakyReLU of slope 0.01).
    """

    kind: Literal["msd"]
    depth: int = Field(100, ge=1)
    width: int = Field(1, ge=1)
    dilations: int = Field(10, ge=1)
    form: Literal["original", "normalized"] = "normalized"


class PlainCnnSettings(_OneOutput):
    """One of the six small 2D networks that a cervical-spine study made by hand.

    Parameters
    ----------
    version : which; ``docs/networks.md`` lists the layers.
    """

    kind: Literal["cnn"]
    dims: Literal[2] = 2
    version: Literal["v1", "v2", "v3_large32", "v3_large64", "v3_small32", "v3_small64"] = "v1"


class MonaiUNetSettings(_OneOutput):
    """MONAI's residual U-Net (Kerfoot et al. 2018), 2D or 3D; every stride halves on entering the next level.

    Parameters
    ----------
    features : channels per level, finest first; the finest level is already coarser than the image by the first stride.
    strides : one less than levels, a number or one per axis each.
    residual_units : convolutions within a residual unit; 0 for plain ones.
    norm : "instance" or "batch".
    dropout : probability that a feature is silenced in training.
    """

    kind: Literal["monai_unet"]
    features: tuple[int, ...] = Field((16, 32, 64, 128, 256), min_length=2)
    strides: tuple[int | tuple[int, ...], ...] = (2, 2, 2, 2)
    residual_units: int = Field(2, ge=0)
    norm: Literal["instance", "batch"] = "instance"
    dropout: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _consistent(self) -> MonaiUNetSettings:
        if len(self.strides) != len(self.features) - 1:
            raise ValueError(
                f"{len(self.features)} features need {len(self.features) - 1} strides, not {len(self.strides)}"
            )
        if any(n < 1 for stride in self._each for n in stride):
            raise ValueError("strides must be at least 1")
        if any(len(stride) != self.dims for stride in self._each):
            raise ValueError(f"a stride has one number, or {self.dims}")
        return self

    @property
    def _each(self) -> list[tuple[int, ...]]:
        """Strides per axis."""
        return [(s,) * self.dims if isinstance(s, int) else s for s in self.strides]

    @property
    def multiple(self) -> tuple[int, ...]:
        """Voxels per axis that an input's size must be a multiple of."""
        return tuple(math.prod(stride[axis] for stride in self._each) for axis in range(self.dims))


class OwnNetworkSettings(_OneOutput):
    """A network of another package, 2D or 3D; see ``docs/own.md``.

    Parameters
    ----------
    kind : ``package.module:CLASS``, or the short name under which an installed package offers it (``voxloom.networks``).
    options : further arguments of the class.
    divisible : voxels per axis that an input's size must be a multiple of; one number holds for all axes.
    """

    kind: str
    options: dict[str, Any] = Field(default_factory=dict)
    divisible: int | tuple[int, ...] = 1

    @field_validator("kind")
    @classmethod
    def _there(cls, kind: str) -> str:
        own_part(kind, NETWORKS, "network.kind")
        return kind

    @model_validator(mode="after")
    def _consistent(self) -> OwnNetworkSettings:
        if min(self.multiple) < 1 or len(self.multiple) != self.dims:
            raise ValueError(f"divisible has one number of at least 1, or {self.dims}")
        return self

    @property
    def multiple(self) -> tuple[int, ...]:
        """Voxels per axis that an input's size must be a multiple of."""
        return (self.divisible,) * self.dims if isinstance(self.divisible, int) else self.divisible


_Shipped = Union[
    NetworkSettings,
    EncoderNetworkSettings,
    DynamicUNetSettings,
    MixedScaleSettings,
    PlainCnnSettings,
    MonaiUNetSettings,
]
AnyNetworkSettings = Union[_Shipped, OwnNetworkSettings]
_FAMILIES: tuple[type[_Shipped], ...] = (
    NetworkSettings, EncoderNetworkSettings, DynamicUNetSettings, MixedScaleSettings, PlainCnnSettings,
    MonaiUNetSettings,
)  # fmt: skip
_BY_KIND = TypeAdapter[_Shipped](Annotated[_Shipped, Field(discriminator="kind")])


def network_kinds() -> dict[str, type[_Shipped]]:
    """The settings class of every ``kind`` that comes with Voxloom."""
    return {kind: family for family in _FAMILIES for kind in get_args(family.model_fields["kind"].annotation)}


def family_of(kind: str) -> type[AnyNetworkSettings]:
    """The settings class of a kind, which may be another package's (KeyError for one that is not known)."""
    return OwnNetworkSettings if is_own(kind, NETWORKS) else network_kinds()[kind]


def network_settings(values: Mapping[str, Any]) -> AnyNetworkSettings:
    """The settings object of a mapping, e.g. of ``model.json``; without ``kind`` a "unet".

    Raises
    ------
    pydantic.ValidationError : a key or value does not fit.
    """
    named = {"kind": "unet", **values}
    kind = str(named["kind"])
    if kind not in network_kinds() and not is_own(kind, NETWORKS):
        return _BY_KIND.validate_python(named)  # says which kinds there are
    return family_of(kind).model_validate(named)


def fill_network(planned: NetworkSettings, given: Mapping[str, Any]) -> dict[str, Any]:
    """The planner's U-Net with a recipe's keys put in; of another family only what all families share.

    Parameters
    ----------
    given : keys of the recipe; ``kind`` says which family is wanted, and is known.
    """
    values = planned.model_dump(mode="json")
    family = family_of(given.get("kind", planned.kind))
    if family is not NetworkSettings:
        values = {key: values[key] for key in ("in_channels", "out_channels", "dims")}
        full: dict[str, Any] = family.model_validate({**values, **given}).model_dump(mode="json")
        return full
    return follow_levels(values, given)


#: Keys of a U-Net that have one entry per level.
PER_LEVEL = ("features", "strides", "kernels")


def follow_levels(planned: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A planned U-Net with a recipe's keys put in; what has one entry per level and was not set follows what was.

    Fewer levels than planned leave out the coarsest. More cannot follow, since the patch lets itself be halved as often as was
    planned: strides and kernels then stay, and the settings are refused.
    """
    values = {**planned, **given}
    levels = next((len(given[key]) for key in PER_LEVEL if isinstance(given.get(key), (list, tuple))), None)
    if levels is None:
        return values
    for key in PER_LEVEL:
        if key not in given:
            values[key] = list(planned[key])[:levels]
    if "deep_supervision" not in given:
        values["deep_supervision"] = max(1, min(int(planned.get("deep_supervision", 1)), levels - 1))
    return values
