"""The six small networks that the cervical-spine study made by hand: chains of convolution, batch norm and ReLU.

The study's table says neither the size of the kernels (3 is taken) nor how the last layer makes one channel in version 3 (a
1x1 convolution is taken, as versions 1 and 2 have it). Its rows have fewer upsamplings than poolings; here every
convolution of the second half is followed by one, which is the reading that gives back the image's size.
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from voxloom.networks.base import SegmentationNetwork
from voxloom.networks.fitting import run_enlarged
from voxloom.networks.initial import he_initialize
from voxloom.networks.settings import PlainCnnSettings

#: Channels of the convolutions before and after the middle; version 1 and 2 neither pool nor upsample.
LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "v1": ((64, 128), ()),
    "v2": ((32, 64, 128, 256, 512), ()),
    "v3_large32": ((32, 64, 128, 256, 512), (256, 256, 128, 64, 32)),
    "v3_large64": ((64, 128, 256, 512), (512, 256, 128, 64)),
    "v3_small32": ((32, 64, 128, 256), (256, 128, 64, 32)),
    "v3_small64": ((64, 128, 256, 512), (512, 256, 128, 64)),
}


def _convolution(channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU()
    )


class PlainCnn(SegmentationNetwork):
    """Logits (B, L, I, J) of an image (B, C, I, J)."""

    def __init__(self, settings: PlainCnnSettings) -> None:
        super().__init__()
        self.settings: PlainCnnSettings = settings
        down, up = LAYERS[settings.version]
        widths = (settings.in_channels, *down, *up)
        convolutions = [_convolution(a, b) for a, b in itertools.pairwise(widths)]
        self.down, self.up = nn.ModuleList(convolutions[: len(down)]), nn.ModuleList(convolutions[len(down) :])
        self.pool, self.enlarge = nn.MaxPool2d(2), nn.Upsample(scale_factor=2)
        self.head = nn.Conv2d(widths[-1], settings.out_channels, 1)
        he_initialize(self)

    def encoder_stages(self) -> list[list[nn.Module]]:
        """One stage per convolution of the first half."""
        return [[layer] for layer in self.down]

    def forward(self, x: Tensor) -> Tensor:
        """Logits; see the class."""
        return run_enlarged(self._logits, x, 2 ** len(self.up))

    def _logits(self, x: Tensor) -> Tensor:
        for layer in self.down:
            x = self.pool(layer(x)) if self.up else layer(x)
        for layer in self.up:
            x = self.enlarge(layer(x))
        logits: Tensor = self.head(x)
        return logits
