"""The parts of a U-Net under the names that MONAI's ``DynUNet`` gives its weights.

Importing MONAI takes three times as long as importing torch, so a network is built from torch alone, and MONAI is needed
only to export one. Does not know how the parts are run (``unet``).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from voxloom.networks.convolution import ConvTranspose3d, WindowConv3d
from voxloom.networks.norm import FastInstanceNorm
from voxloom.networks.settings import NetworkSettings

#: Slope of the leaky ReLUs for negative values, as in nnU-Net.
SLOPE = 0.01
_CONVOLUTION: dict[int, Any] = {2: nn.Conv2d, 3: WindowConv3d}
_TRANSPOSED: dict[int, Any] = {2: nn.ConvTranspose2d, 3: ConvTranspose3d}
_BATCH_NORM: dict[int, Any] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
Axes = Sequence[int]


class UNetLevels(nn.Module):
    """All weights of a plain or residual U-Net, drawn after He et al. 2015; attributes are named as in ``DynUNet``.

    Parameters
    ----------
    settings : of the network.
    outputs : channels of every head.
    dropout : probability after each convolution but those of the heads; it would silence logits there.
    """

    def __init__(self, settings: NetworkSettings, outputs: int, dropout: float) -> None:
        super().__init__()
        parts = _Parts(settings.dims, settings.norm, dropout, settings.kind == "resunet")
        features = settings.features
        levels = list(zip(features[:-1], features[1:], settings.kernels[1:], settings.strides[1:], strict=True))
        down = [parts.block(*level) for level in levels]
        first = parts.block(settings.in_channels, features[0], settings.kernels[0], settings.strides[0])
        self.input_block: nn.Module = first
        self.downsamples = nn.ModuleList(down[:-1])
        self.bottleneck: nn.Module = down[-1]
        self.upsamples = nn.ModuleList(parts.up(below, at, k, s) for at, below, k, s in reversed(levels))
        heads = [parts.head(channels, outputs) for channels in settings.features]
        self.output_block: nn.Module = heads[0]
        if settings.deep_supervision > 1:
            self.deep_supervision_heads = nn.ModuleList(heads[1 : settings.deep_supervision])
        self.apply(_initialize)


class PlainBlock(nn.Module):
    """Twice convolution, norm and leaky ReLU, (B, C, ...) to (B, D, ...); the first convolution has the stride."""

    def __init__(self, parts: _Parts, channels: int, out_channels: int, kernel: Axes, stride: Axes) -> None:
        super().__init__()
        self.conv1 = parts.convolution(channels, out_channels, kernel, stride)
        self.conv2 = parts.convolution(out_channels, out_channels, kernel, (1,) * len(kernel))
        self.lrelu = nn.LeakyReLU(SLOPE, inplace=True)
        self.norm1, self.norm2 = parts.norm(out_channels), parts.norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.lrelu(self.norm1(self.conv1(x)))
        result: Tensor = self.lrelu(self.norm2(self.conv2(x)))
        return result


class ResidualBlock(PlainBlock):
    """A plain block whose input is added before the last leaky ReLU, by a 1x1 convolution where the shape changes."""

    def __init__(self, parts: _Parts, channels: int, out_channels: int, kernel: Axes, stride: Axes) -> None:
        super().__init__(parts, channels, out_channels, kernel, stride)
        self.changes = channels != out_channels or any(n != 1 for n in stride)
        if self.changes:
            self.conv3 = parts.convolution(channels, out_channels, (1,) * len(kernel), stride)
            self.norm3 = parts.norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        past = self.norm3(self.conv3(x)) if self.changes else x
        x = self.lrelu(self.norm1(self.conv1(x)))
        result: Tensor = self.lrelu(self.norm2(self.conv2(x)) + past)
        return result


class UpBlock(nn.Module):
    """Enlarge by a transposed convolution, join the features of that level, then a plain block."""

    def __init__(self, parts: _Parts, channels: int, out_channels: int, kernel: Axes, stride: Axes) -> None:
        super().__init__()
        self.transp_conv = parts.enlargement(channels, out_channels, stride)
        self.conv_block = PlainBlock(parts, 2 * out_channels, out_channels, kernel, (1,) * len(kernel))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Features (B, D, ...) of the size of ``skip`` (B, D, ...)."""
        result: Tensor = self.conv_block(torch.cat((self.transp_conv(x), skip), dim=1))
        return result


class Head(nn.Module):
    """Logits from features by a 1x1 convolution with bias."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = _named(conv, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) to (B, L, ...)."""
        result: Tensor = self.conv(x)
        return result


class _Parts:
    """Layers for one number of axes, norm and dropout."""

    def __init__(self, dims: int, norm: str, dropout: float, residual: bool) -> None:
        self.dims, self.dropout, self.instance = dims, dropout, norm == "instance"
        self.kind = ResidualBlock if residual else PlainBlock

    def block(self, channels: int, out_channels: int, kernel: Axes, stride: Axes) -> nn.Module:
        return self.kind(self, channels, out_channels, kernel, stride)

    def up(self, channels: int, out_channels: int, kernel: Axes, stride: Axes) -> nn.Module:
        return UpBlock(self, channels, out_channels, kernel, stride)

    def head(self, channels: int, out_channels: int) -> nn.Module:
        return Head(_CONVOLUTION[self.dims](channels, out_channels, 1))

    def convolution(self, channels: int, out_channels: int, kernel: Axes, stride: Axes) -> nn.Module:
        """Padded so that stride 1 keeps the size and stride s divides it by s; no bias, a norm follows."""
        padding = tuple((k - s + 1) // 2 for k, s in zip(kernel, stride, strict=True))
        layer = _CONVOLUTION[self.dims]
        conv = layer(channels, out_channels, tuple(kernel), stride=tuple(stride), padding=padding, bias=False)
        return _named(conv, self.dropout)

    def enlargement(self, channels: int, out_channels: int, stride: Axes) -> nn.Module:
        layer = _TRANSPOSED[self.dims](channels, out_channels, tuple(stride), stride=tuple(stride), bias=False)
        return _named(layer, self.dropout)

    def norm(self, channels: int) -> nn.Module:
        norm: nn.Module = FastInstanceNorm(channels) if self.instance else _BATCH_NORM[self.dims](channels)
        return norm


def _named(conv: nn.Module, dropout: float) -> nn.Sequential:
    """A layer called ``conv`` inside another, as MONAI nests them, with dropout behind it."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv=conv)
    if dropout:
        layers["drop"] = nn.Dropout(dropout)
    return nn.Sequential(layers)


def _initialize(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        nn.init.kaiming_normal_(module.weight, a=SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
