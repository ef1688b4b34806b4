"""MONAI's own residual U-Net as a network of this library: the one that the fastMONAI studies trained (Kerfoot et al. 2018).

The layers are MONAI's; their convolutions become those of ``convolution``, which compute the same. Weights start as PyTorch draws
them, as in the studies.
"""

from __future__ import annotations

from typing import cast

from monai.networks.nets import UNet as MonaiNetwork
from torch import Tensor, nn
from torch.nn import functional

from voxloom.networks.base import SegmentationNetwork
from voxloom.networks.convolution import Conv3d, ConvTranspose3d
from voxloom.networks.settings import MonaiUNetSettings


class MonaiUNet(SegmentationNetwork):
    """Logits (B, L, ...) of an image (B, C, ...); continued by its edges to ``settings.multiple``."""

    def __init__(self, settings: MonaiUNetSettings) -> None:
        super().__init__()
        self.settings: MonaiUNetSettings = settings
        self.net = MonaiNetwork(
            spatial_dims=settings.dims,
            in_channels=settings.in_channels,
            out_channels=settings.out_channels,
            channels=settings.features,
            strides=settings.strides,  # type: ignore[arg-type]  # MONAI takes one per axis too
            num_res_units=settings.residual_units,
            norm=settings.norm,
            dropout=settings.dropout,
        )
        for module in self.net.modules():
            if type(module) is nn.Conv3d:
                module.__class__ = Conv3d
            elif type(module) is nn.ConvTranspose3d:
                module.__class__ = ConvTranspose3d

    def encoder_stages(self) -> list[list[nn.Module]]:
        """One stage per level on the way down, the bottom last."""
        stages: list[list[nn.Module]] = []
        block: nn.Module = self.net.model
        while isinstance(block, nn.Sequential) and len(block) == 3 and hasattr(block[1], "submodule"):
            stages.append([block[0]])
            block = cast(nn.Module, block[1].submodule)
        return [*stages, [block]]

    def forward(self, x: Tensor) -> Tensor:
        """Logits; see the class."""
        size = x.shape[2:]
        missing = [-n % m for n, m in zip(size, self.settings.multiple, strict=True)]
        if any(missing):
            x = functional.pad(x, [n for short in reversed(missing) for n in (0, short)], mode="replicate")
        found: Tensor = self.net(x)
        window: tuple[slice, ...] = (slice(None), slice(None), *(slice(n) for n in size))
        return found[window] if any(missing) else found
