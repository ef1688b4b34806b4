"""A network of another package, in the place of one of Voxloom's: segmentation by any class from images to logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxloom.errors import BadInput
from voxloom.networks.base import SegmentationNetwork
from voxloom.networks.settings import NETWORKS, OwnNetworkSettings
from voxloom.own import made, own_part

_KEY = "network.kind"


class OwnNetwork(SegmentationNetwork):
    """Images (B, C, ...) to logits (B, L, ...) of the same size by a class that is named in the recipe.

    The class gets ``in_channels`` and ``out_channels``, ``dims`` or ``spatial_dims`` where it asks for them, and the recipe's options.
    Where it has ``encoder_stages()``, layer groups and first weights go by these stages.

    Raises
    ------
    BadInput : there is no such class, it is no ``torch.nn.Module``, or it does not take its arguments.
    """

    settings: OwnNetworkSettings

    def __init__(self, settings: OwnNetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        part = own_part(settings.kind, NETWORKS, _KEY)
        known = {
            "in_channels": settings.in_channels,
            "out_channels": settings.out_channels,
            "dims": settings.dims,
            "spatial_dims": settings.dims,
        }
        network = made(part, known, settings.options, _KEY, ("in_channels", "out_channels"))
        if not isinstance(network, nn.Module):
            raise BadInput(
                f"{settings.kind} makes no torch.nn.Module", f"`{_KEY}` of the recipe", "Name a class of one"
            )
        self.network = network

    def encoder_stages(self) -> list[list[nn.Module]]:
        """Those of the class itself; none where it does not say."""
        stages = getattr(self.network, "encoder_stages", None)
        return list(stages()) if callable(stages) else []

    def forward(self, x: Tensor) -> Tensor:
        """Logits; see the class.

        Raises
        ------
        BadInput : the network gives something else.
        """
        found = self.network(x)
        expected = (x.shape[0], self.settings.out_channels, *x.shape[2:])
        if torch.jit.is_tracing():
            return found  # type: ignore[no-any-return]
        if not isinstance(found, Tensor) or tuple(found.shape) != expected:
            gave = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            what = f"{self.settings.kind} gave {gave} for images {tuple(x.shape)}, where logits {expected} are needed"
            raise BadInput(
                what, f"`{_KEY}` of the recipe", "Give one tensor of the size of the images, a channel per output"
            )
        return found
