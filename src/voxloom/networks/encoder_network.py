"""U-Net, FPN, LinkNet and PSPNet of segmentation_models_pytorch, for images of any size and number of channels."""

from __future__ import annotations

import segmentation_models_pytorch as smp
from torch import Tensor, nn

from voxloom.networks.base import SegmentationNetwork
from voxloom.networks.encoder import MULTIPLE, cut, stages_of
from voxloom.networks.fitting import run_enlarged
from voxloom.networks.initial import he_initialize
from voxloom.networks.settings import EncoderNetworkSettings

_MODELS = {"encoder_unet": smp.Unet, "fpn": smp.FPN, "linknet": smp.Linknet, "pspnet": smp.PSPNet}
#: The library's PSPNet reads its encoder at one eighth of the image's size.
_PSPNET_DEPTH = 3


class EncoderNetwork(SegmentationNetwork):
    """Logits (B, L, I, J) of an image (B, C, I, J)."""

    def __init__(self, settings: EncoderNetworkSettings) -> None:
        super().__init__()
        self.settings: EncoderNetworkSettings = settings
        model = _MODELS[settings.kind]
        self.net: nn.Module = model(
            encoder_name=settings.encoder,
            encoder_weights=None,
            in_channels=settings.in_channels,
            classes=settings.out_channels,
        )
        if settings.kind == "pspnet":
            cut(self.net.encoder, _PSPNET_DEPTH)  # type: ignore[arg-type]
        he_initialize(self)

    def encoder_stages(self) -> list[list[nn.Module]]:
        """One stage per halving of the image."""
        return stages_of(self.net.encoder)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Logits; see the class."""
        return run_enlarged(self.net, x, MULTIPLE)
