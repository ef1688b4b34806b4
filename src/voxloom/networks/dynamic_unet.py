"""The dynamic U-Net: a decoder whose widths follow from its encoder, and pixel shuffle in place of interpolation.

The widths are those that fastai's U-Net learner gives the same encoder (paper B of the low-code study used it). Pixel
shuffle after Shi et al. 2016, its first weights after Aitken et al. 2017, the blur after Sugawara et al. 2018.
"""

from __future__ import annotations

import torch
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn

from voxloom.networks.base import SegmentationNetwork
from voxloom.networks.encoder import MULTIPLE, stages_of
from voxloom.networks.fitting import run_enlarged
from voxloom.networks.initial import he_initialize, icnr_initialize
from voxloom.networks.settings import DynamicUNetSettings


class ShuffleUp(nn.Module):
    """Twice the size, (B, C, I, J) to (B, D, 2I, 2J): 1x1 convolution to 4 D channels, ReLU, pixel shuffle, blur."""

    def __init__(self, channels: int, out_channels: int, blur: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4 * out_channels, 1)
        self.relu = nn.ReLU()
        self.shuffle = nn.PixelShuffle(2)
        # every pixel becomes the mean of itself and its upper and left neighbours
        self.blur = nn.Sequential(nn.ReplicationPad2d((1, 0, 1, 0)), nn.AvgPool2d(2, stride=1)) if blur else None

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.shuffle(self.relu(self.conv(x)))
        return x if self.blur is None else self.blur(x)


class Decode(nn.Module):
    """Enlarge, join the encoder's features of that size, convolve twice."""

    def __init__(self, channels: int, skip: int, out_channels: int, blur: bool) -> None:
        super().__init__()
        self.up = ShuffleUp(channels, channels // 2, blur)
        self.norm = nn.BatchNorm2d(skip)
        joined = channels // 2 + skip
        self.convs = nn.Sequential(
            nn.ReLU(), nn.Conv2d(joined, out_channels, 3, padding=1), nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Features of the size of ``skip``."""
        result: Tensor = self.convs(torch.cat([self.up(x), self.norm(skip)], dim=1))
        return result


class DynamicUNet(SegmentationNetwork):
    """Logits (B, L, I, J) of an image (B, C, I, J); the last layers see the image itself again."""

    def __init__(self, settings: DynamicUNetSettings) -> None:
        super().__init__()
        self.settings: DynamicUNetSettings = settings
        self.encoder = get_encoder(settings.encoder, in_channels=settings.in_channels, weights=None)
        _, *skips, deepest = self.encoder.out_channels
        self.middle = nn.Sequential(
            nn.BatchNorm2d(deepest), nn.ReLU(), nn.Conv2d(deepest, 2 * deepest, 3, padding=1), nn.ReLU(),
            nn.Conv2d(2 * deepest, deepest, 3, padding=1), nn.ReLU(), nn.Dropout(settings.dropout),
        )  # fmt: skip
        channels, blocks = deepest, []
        for n, skip in enumerate(reversed(skips)):
            joined = channels // 2 + skip
            out = joined if n < len(skips) - 1 else joined // 2
            blocks.append(Decode(channels, skip, out, settings.blur))
            channels = out
        self.decoder = nn.ModuleList(blocks)
        self.up = ShuffleUp(channels, channels, settings.blur)
        channels += settings.in_channels
        self.last = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)
        )
        self.head = nn.Conv2d(channels, settings.out_channels, 1)
        he_initialize(self)
        for module in self.modules():
            if isinstance(module, ShuffleUp):
                icnr_initialize(module.conv)

    def encoder_stages(self) -> list[list[nn.Module]]:
        """One stage per halving of the image."""
        return stages_of(self.encoder)

    def forward(self, x: Tensor) -> Tensor:
        """Logits; see the class."""
        return run_enlarged(self._logits, x, MULTIPLE)

    def _logits(self, image: Tensor) -> Tensor:
        _, *skips, x = self.encoder(image)
        x = self.middle(x)
        for block, skip in zip(self.decoder, reversed(skips), strict=True):
            x = block(x, skip)
        x = torch.cat([self.up(x), image], dim=1)
        logits: Tensor = self.head(torch.relu(x + self.last(x)))
        return logits
