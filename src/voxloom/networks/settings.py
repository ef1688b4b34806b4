"""What describes a network; everything that is needed to build it again. Knows no tensor."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class NetworkSettings(BaseModel):
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
    dropout : probability after each convolution.
    norm : "instance" (statistics per patch) or "batch".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["unet", "resunet"] = "unet"
    dims: Literal[2, 3]
    in_channels: int = Field(ge=1)
    out_channels: int = Field(ge=1)
    features: tuple[int, ...] = Field(min_length=3)
    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]
    deep_supervision: int = Field(1, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    norm: Literal["instance", "batch"] = "instance"

    @model_validator(mode="after")
    def _consistent(self) -> NetworkSettings:
        levels = len(self.features)
        if len(self.strides) != levels or len(self.kernels) != levels:
            raise ValueError(f"features, strides and kernels need one entry per level ({levels})")
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
