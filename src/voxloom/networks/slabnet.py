"""SingleNet and MultiNet: V-Nets that read a slab of three slices and answer for the middle one.

After Lamerigts, "Foramina Localization" (2017, sections 7.3 to 7.5), itself after V-Net (Milletari et al. 2016). Strides act in
the slice plane only, so the slab stays three slices thick until the heads, whose kernel spans it, make one slice of it.

The text gives levels, channels, kernels of 3 x 3 x 3, batch norm, dropout and the number of parameters, and leaves the rest to
its figures. This is the reading that gives 179,115 parameters for SingleNet exactly, and 397,112 for MultiNet (published:
397,371, 0.07 % more):

- The input is batch-normalized and convolved to ``channels``, then passes one residual convolution; every later level has two.
- Every other convolution is preceded by batch norm and activation (He et al. 2016) and has a bias; transposed ones have none.
- Compression is a 3 x 3 x 3 convolution of stride 2, expansion a transposed one; patches of 2^n m + 1 pixels (481, 225) fit both.
- Skips are concatenated, and the residual block behind an expansion works on both halves, twice the channels of its level.
- A head is batch norm, activation and a convolution across the slab (1 x 1 x 3). With supervision there is one at the bottom and
  one on every level; from the bottom up their outputs are interpolated (bilinear) and added.

Knows no file, recipe or landmark.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from voxloom.networks.convolution import Conv3d, ConvTranspose3d

#: Slices of the slab.
SLAB = 3
_STRIDE = (1, 2, 2)


class SlabSettings(BaseModel):
    """SingleNet (the defaults) and its relatives.

    Parameters
    ----------
    in_channels, outputs : of the image, and maps.
    levels : compressions.
    channels : of the first level; doubled at each compression, up to ``max_channels``.
    max_channels : most channels that a compression or expansion gives; None for no limit.
    supervision : heads on every level, interpolated and added, instead of one at the end.
    activation : "relu", "elu" (a = 1), "elu_learned" (the text's, whose a is learned, one per channel) or "crelu" (both signs, which
        doubles what a convolution reads; Shang et al. 2016).
    he : He initialization (2015); otherwise Glorot's uniform one (2010), the default of the software the authors used.
    batch_norm : before every activation.
    dropout : probability that a value behind a residual block is dropped (published: a share of 0.9 is kept).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    in_channels: int = Field(1, ge=1)
    outputs: int = Field(1, ge=1)
    levels: int = Field(2, ge=1)
    channels: int = Field(8, ge=1)
    max_channels: int | None = Field(None, ge=1)
    supervision: bool = False
    activation: Literal["relu", "elu", "elu_learned", "crelu"] = "relu"
    he: bool = True
    batch_norm: bool = True
    dropout: float = Field(0.1, ge=0, lt=1)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of every level and of the bottom."""
        limit = self.max_channels or self.channels * 2**self.levels
        return tuple(min(self.channels * 2**n, limit) if n else self.channels for n in range(self.levels + 1))


def single_net(in_channels: int = 1, **changed: object) -> SlabSettings:
    """SingleNet: 2 levels of 8 channels and more, one output."""
    return SlabSettings.model_validate({"in_channels": in_channels, **changed})


def multi_net(in_channels: int = 1, outputs: int = 5, **changed: object) -> SlabSettings:
    """MultiNet: 5 levels of at most 16 channels, one output per vertebral level, supervision."""
    values = {"levels": 5, "max_channels": 16, "supervision": True, **changed}
    return SlabSettings.model_validate({"in_channels": in_channels, "outputs": outputs, **values})


class CReLU(nn.Module):
    """Positive and negative part, one behind the other along the channels."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) to (B, 2C, ...)."""
        return torch.cat([functional.relu(x), functional.relu(-x)], dim=1)


class LearnedELU(nn.Module):
    """x above 0, a (exp(x) - 1) below, with one learned ``a`` per channel (equation 3.8 of the text); 1 at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...), same shape."""
        a = self.a.view(-1, *[1] * (x.ndim - 2))
        return torch.where(x > 0, x, a * torch.expm1(x.clamp(max=0)))


class Before(nn.Sequential):
    """Batch norm and activation in front of a convolution; ``width`` is what the convolution reads."""

    def __init__(self, settings: SlabSettings, channels: int) -> None:
        simple = {"relu": nn.ReLU, "elu": nn.ELU, "crelu": CReLU}
        learned = settings.activation == "elu_learned"
        activation = LearnedELU(channels) if learned else simple[settings.activation]()
        norm = [nn.BatchNorm3d(channels)] if settings.batch_norm else []
        super().__init__(*norm, activation)
        self.width = channels * (2 if settings.activation == "crelu" else 1)


class Conv(nn.Module):
    """Batch norm, activation, convolution."""

    def __init__(
        self, settings: SlabSettings, inside: int, outside: int, stride: tuple[int, int, int] | int = 1
    ) -> None:
        super().__init__()
        self.before = Before(settings, inside)
        self.conv = Conv3d(self.before.width, outside, 3, stride=stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, 3, h, w) to (B, C', 3, h', w')."""
        result: Tensor = self.conv(self.before(x))
        return result


class Residual(nn.Module):
    """``count`` convolutions whose sum with the input goes on, after dropout."""

    def __init__(self, settings: SlabSettings, channels: int, count: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(*(Conv(settings, channels, channels) for _ in range(count)))
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        result: Tensor = x + self.dropout(self.convs(x))
        return result


class Expand(nn.Module):
    """Batch norm, activation and a transposed convolution to the size of the skip, which is appended."""

    def __init__(self, settings: SlabSettings, inside: int, outside: int) -> None:
        super().__init__()
        self.before = Before(settings, inside)
        self.conv = ConvTranspose3d(self.before.width, outside, 3, _STRIDE, padding=1, bias=False)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B, C, 3, h, w) and the skip (B, S, 3, H, W) to (B, C' + S, 3, H, W)."""
        return torch.cat([self.conv(self.before(x), output_size=skip.shape[2:]), skip], dim=1)


class Head(nn.Module):
    """Batch norm, activation and a convolution that makes one slice of the slab."""

    def __init__(self, settings: SlabSettings, inside: int) -> None:
        super().__init__()
        self.before = Before(settings, inside)
        self.conv = Conv3d(self.before.width, settings.outputs, (SLAB, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, 3, h, w) to (B, outputs, h, w)."""
        result: Tensor = self.conv(self.before(x))[:, :, 0]
        return result


class SlabNet(nn.Module):
    """Input (B, C, I, J, 3), slices last; logits (B, outputs, I, J, 1) of the middle slice. Any I and J."""

    def __init__(self, settings: SlabSettings) -> None:
        super().__init__()
        self.settings = settings
        widths = settings.widths
        self.norm = nn.BatchNorm3d(settings.in_channels) if settings.batch_norm else nn.Identity()
        self.first = Conv3d(settings.in_channels, widths[0], 3, padding=1)
        self.left = nn.ModuleList(Residual(settings, w, 1 if n == 0 else 2) for n, w in enumerate(widths))
        self.compress = nn.ModuleList(Conv(settings, a, b, _STRIDE) for a, b in pairwise(widths))
        inside = [*(2 * w for w in widths[1:-1]), widths[-1]]  # what comes up from the level below
        self.expand = nn.ModuleList(Expand(settings, a, w) for a, w in zip(inside, widths[:-1], strict=True))
        self.right = nn.ModuleList(Residual(settings, 2 * w, 2) for w in widths[:-1])
        heads = [*(2 * w for w in widths[:-1]), widths[-1]] if settings.supervision else [2 * widths[0]]
        self.heads = nn.ModuleList(Head(settings, w) for w in heads)
        _initialize(self, settings)

    def encoder_stages(self) -> list[list[nn.Module]]:
        """One stage per level, the coarsest last."""
        deeper = [[a, b] for a, b in zip(self.compress, list(self.left)[1:], strict=True)]
        return [[self.first, self.left[0]], *deeper]

    def forward(self, x: Tensor) -> Tensor:
        """Logits; see the class."""
        x = self.first(self.norm(x.permute(0, 1, 4, 2, 3)))  # slices first: long rows run fastest
        skips = []
        for level, compress in enumerate(self.compress):
            skips.append(self.left[level](x))
            x = compress(skips[-1])
        x = self.left[-1](x)
        total = self.heads[-1](x) if self.settings.supervision else None
        for level in reversed(range(len(skips))):
            x = self.right[level](self.expand[level](x, skips[level]))
            if total is not None:
                larger = functional.interpolate(total, x.shape[3:], mode="bilinear", align_corners=False)
                total = larger + self.heads[level](x)
        return (self.heads[0](x) if total is None else total)[..., None]


def _initialize(network: nn.Module, settings: SlabSettings) -> None:
    """He's or Glorot's weights; biases 0."""
    for module in network.modules():
        if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
            if settings.he:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            else:
                nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
