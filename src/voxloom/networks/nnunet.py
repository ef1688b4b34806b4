"""The two U-Nets of nnU-Net v2 as networks of this library, for weights that were trained there.

The plain one after Isensee et al. 2021, the one with a residual encoder (blocks of ResNet-D) after Isensee et al. 2024.
Layers are named as in the package ``dynamic_network_architectures``, so that its weights can be taken as they are; outputs for deep
supervision are left out. A recipe names it ``network.kind: voxloom.networks.nnunet:NnUNet``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from voxloom.networks.convolution import Conv3d, ConvTranspose3d
from voxloom.networks.initial import he_initialize

Sizes = Sequence[Sequence[int]]


class ConvBlock(nn.Module):
    """Convolution, normalization and, unless ``slope`` is None, LeakyReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Sequence[int],
        stride: Sequence[int],
        bias: bool,
        norm: str,
        slope: float | None,
    ) -> None:
        super().__init__()
        dims = len(kernel)
        padding = tuple((n - 1) // 2 for n in kernel)
        conv: Any = nn.Conv2d if dims == 2 else Conv3d
        self.conv = conv(inputs, outputs, tuple(kernel), tuple(stride), padding, bias=bias)
        self.norm = _norm(norm, dims, outputs)
        self.nonlin = None if slope is None else nn.LeakyReLU(slope, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.norm(self.conv(x))
        return x if self.nonlin is None else self.nonlin(x)


def _norm(kind: str, dims: int, channels: int) -> nn.Module:
    if kind == "instance":
        return (nn.InstanceNorm2d if dims == 2 else nn.InstanceNorm3d)(channels, eps=1e-5, affine=True)
    return (nn.BatchNorm2d if dims == 2 else nn.BatchNorm3d)(channels, eps=1e-5)


class Stack(nn.Module):
    """Convolution blocks one after the other; the first one strides."""

    def __init__(self, blocks: Sequence[ConvBlock]) -> None:
        super().__init__()
        self.convs = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        result: Tensor = self.convs(x)
        return result


class ResidualBlock(nn.Module):
    """Two convolution blocks beside a shortcut, which is averaged where they stride and projected where channels change."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Sequence[int],
        stride: Sequence[int],
        bias: bool,
        norm: str,
        slope: float,
    ) -> None:
        super().__init__()
        dims = len(kernel)
        ones = (1,) * dims
        self.conv1 = ConvBlock(inputs, outputs, kernel, stride, bias, norm, slope)
        self.conv2 = ConvBlock(outputs, outputs, kernel, ones, bias, norm, None)
        pool: Any = nn.AvgPool2d if dims == 2 else nn.AvgPool3d
        around: list[nn.Module] = [pool(tuple(stride), tuple(stride))] if max(stride) > 1 else []
        if inputs != outputs:
            around.append(ConvBlock(inputs, outputs, ones, ones, False, norm, None))
        self.skip = nn.Sequential(*around)
        self.nonlin2 = nn.LeakyReLU(slope, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        result: Tensor = self.nonlin2(self.conv2(self.conv1(x)) + self.skip(x))
        return result


class Residuals(nn.Module):
    """Residual blocks one after the other; the first one strides."""

    def __init__(self, blocks: Sequence[ResidualBlock]) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        result: Tensor = self.blocks(x)
        return result


class Encoder(nn.Module):
    """The features of every level, finest first."""

    def __init__(self, stem: Stack | None, stages: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.Sequential(*stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See the class."""
        x = x if self.stem is None else self.stem(x)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class Decoder(nn.Module):
    """From the coarsest features up to the finest; enlarged by transposed convolutions, joined, convolved."""

    def __init__(self, transpconvs: Sequence[nn.Module], stages: Sequence[nn.Module]) -> None:
        super().__init__()
        self.transpconvs = nn.ModuleList(transpconvs)
        self.stages = nn.ModuleList(stages)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """See the class."""
        x = levels[-1]
        for enlarge, stage, skip in zip(self.transpconvs, self.stages, reversed(levels[:-1]), strict=True):
            x = stage(torch.cat([enlarge(x), skip], dim=1))
        return x


class NnUNet(nn.Module):
    """Logits (B, L, ...) of images (B, C, ...) whose sizes are multiples of the product of the strides.

    Parameters
    ----------
    dims, in_channels, out_channels : as of every network.
    encoder : "plain" or "residual".
    features, kernels, strides, blocks : per level, finest first; ``blocks`` counts convolutions, or residual blocks.
    decoder_blocks : convolutions per level of the decoder, coarsest first, one less than levels.
    bias : of convolutions.
    norm : "instance" or "batch".
    slope : of LeakyReLU below 0.
    axes : the axis of the image (0, 1, 2 for i, j, k) that is nnU-Net's first, second, ... axis; kernels and strides are in its order.

    Raises
    ------
    ValueError : the lists have different lengths, or ``axes`` is no order of the axes.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dims: int,
        *,
        features: Sequence[int],
        kernels: Sizes,
        strides: Sizes,
        blocks: Sequence[int],
        decoder_blocks: Sequence[int],
        encoder: Literal["plain", "residual"] = "plain",
        bias: bool = True,
        norm: Literal["instance", "batch"] = "instance",
        slope: float = 0.01,
        axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        levels = len(features)
        if not levels - 1 == len(decoder_blocks) or {len(kernels), len(strides), len(blocks)} != {levels}:
            raise ValueError("features, kernels, strides and blocks need one entry per level, decoder_blocks one less")
        self.axes = tuple(range(dims)) if axes is None else tuple(axes)
        if sorted(self.axes) != list(range(dims)):
            raise ValueError(f"axes {self.axes} is not an order of {dims} axes")
        ones = (1,) * dims
        widths = [features[0] if encoder == "residual" else in_channels, *features]

        def stack(inputs: int, outputs: int, kernel: Sequence[int], stride: Sequence[int], count: int) -> Stack:
            first = ConvBlock(inputs, outputs, kernel, stride, bias, norm, slope)
            return Stack(
                [first, *(ConvBlock(outputs, outputs, kernel, ones, bias, norm, slope) for _ in range(count - 1))]
            )

        def residuals(level: int) -> Residuals:
            given, kernel, width = widths[level], kernels[level], features[level]
            first = ResidualBlock(given, width, kernel, strides[level], bias, norm, slope)
            more = (ResidualBlock(width, width, kernel, ones, bias, norm, slope) for _ in range(blocks[level] - 1))
            return Residuals([first, *more])

        if encoder == "residual":
            stem = stack(in_channels, features[0], kernels[0], ones, 1)
            self.encoder = Encoder(stem, [residuals(n) for n in range(levels)])
        else:
            plain = (stack(widths[n], features[n], kernels[n], strides[n], blocks[n]) for n in range(levels))
            self.encoder = Encoder(None, [nn.Sequential(one) for one in plain])
        up: Any = nn.ConvTranspose2d if dims == 2 else ConvTranspose3d
        down = range(levels - 1, 0, -1)
        self.decoder = Decoder(
            [up(features[n], features[n - 1], tuple(strides[n]), tuple(strides[n]), bias=bias) for n in down],
            [
                stack(2 * features[n - 1], features[n - 1], kernels[n - 1], ones, count)
                for n, count in zip(down, decoder_blocks, strict=True)
            ],
        )
        last: Any = nn.Conv2d if dims == 2 else Conv3d
        self.head = last(features[0], out_channels, ones)
        he_initialize(self)

    def encoder_stages(self) -> list[list[nn.Module]]:
        """One stage per level, the stem with the first."""
        first = [] if self.encoder.stem is None else [self.encoder.stem]
        return [[*(first if n == 0 else []), stage] for n, stage in enumerate(self.encoder.stages)]

    def forward(self, x: Tensor) -> Tensor:
        """Logits; see the class."""
        order = (0, 1, *(axis + 2 for axis in self.axes))
        back = tuple(order.index(n) for n in range(len(order)))
        logits: Tensor = self.head(self.decoder(self.encoder(x.permute(order))))
        return logits.permute(back)
