"""The dynamic U-Net, with deep supervision at each head's own resolution.

With a first stride beyond 1 the network computes on cells of several voxels and every head gives the logits of all voxels of
a cell (sub-pixel convolution, Shi et al. 2016): most of the work at full resolution is saved, the result keeps it.

Knows how to run the parts of ``unet_levels``, and how to hand the weights to ``monai.networks.nets.DynUNet``
(``to_monai``). Does not know files or recipes.
"""

from __future__ import annotations

from collections import OrderedDict
from math import prod
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from voxloom.networks.base import SegmentationNetwork
from voxloom.networks.settings import NetworkSettings
from voxloom.networks.unet_levels import UNetLevels

if TYPE_CHECKING:
    from monai.networks.nets import DynUNet


def monai_config(settings: NetworkSettings) -> dict[str, Any]:
    """Keyword arguments of ``monai.networks.nets.DynUNet`` for the same network, JSON-able."""
    norm = ("INSTANCE", {"affine": True}) if settings.norm == "instance" else "BATCH"
    return {
        "spatial_dims": settings.dims,
        "in_channels": settings.in_channels,
        "out_channels": settings.out_channels * prod(settings.strides[0]),
        "kernel_size": [list(k) for k in settings.kernels],
        "strides": [list(s) for s in settings.strides],
        "upsample_kernel_size": [list(s) for s in settings.strides[1:]],
        "filters": list(settings.features),
        "dropout": (settings.dropout or None) if settings.dropout_in == "all" else None,
        "norm_name": norm,
        "deep_supervision": settings.deep_supervision > 1,
        "deep_supr_num": max(1, settings.deep_supervision - 1),
        "res_block": settings.kind == "resunet",
    }


class UNet(SegmentationNetwork):
    """Plain or residual U-Net.

    Input (B, C, ...) whose size is a multiple of ``settings.multiple``. In evaluation the result is logits (B, L, ...);
    in training with deep supervision a list of logits, finest first, each at its own resolution.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings: NetworkSettings = settings
        everywhere = settings.dropout if settings.dropout_in == "all" else 0.0
        self.net = UNetLevels(settings, settings.out_channels * prod(settings.strides[0]), everywhere)
        if settings.dropout and not everywhere:
            above = (self.net.input_block, *self.net.downsamples) if settings.dropout_in == "contracting" else ()
            for block in (*above, self.net.bottleneck):
                drop_between(block, settings.dropout)

    def encoder_stages(self) -> list[list[nn.Module]]:
        """One stage per level, the bottleneck last."""
        return [[block] for block in (self.net.input_block, *self.net.downsamples, self.net.bottleneck)]

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits; see the class."""
        skips = [self.net.input_block(x)]
        for down in self.net.downsamples:
            skips.append(down(skips[-1]))
        x = self.net.bottleneck(skips[-1])
        coarse: list[Tensor] = []
        heads = self.settings.deep_supervision - 1 if self.training else 0
        for n, (up, skip) in enumerate(zip(self.net.upsamples, reversed(skips), strict=True)):
            x = up(x, skip)
            place = len(skips) - 2 - n  # head 0 belongs to the second finest level
            if 0 <= place < heads:
                coarse.append(self._voxels(self.net.deep_supervision_heads[place](x)))
        out = self._voxels(self.net.output_block(x))
        return [out, *reversed(coarse)] if heads else out

    def _voxels(self, cells: Tensor) -> Tensor:
        return unpack_cells(cells, self.settings.strides[0])


def unpack_cells(cells: Tensor, size: tuple[int, ...]) -> Tensor:
    """Lay the channels of every cell out as its voxels.

    Parameters
    ----------
    cells : (B, L * voxels of a cell, ...); within a label the last axis of the cell runs fastest, as in MONAI's pixel shuffle.
    size : voxels of a cell per axis.

    Returns
    -------
    (B, L, ...), every axis longer by its ``size``.
    """
    if prod(size) == 1:
        return cells
    dims, count = len(size), len(cells)
    grid = cells.reshape(count, -1, *size, *cells.shape[2:])
    order = [axis for n in range(dims) for axis in (2 + dims + n, 2 + n)]
    shape = [n * k for n, k in zip(cells.shape[2:], size, strict=True)]
    return grid.permute(0, 1, *order).reshape(count, -1, *shape)


def drop_between(block: nn.Module, chance: float) -> None:
    """Put dropout in front of the second convolution of a block; the names of its weights stay."""
    layers = OrderedDict([("drop", nn.Dropout(chance)), *block.get_submodule("conv2").named_children()])
    block.add_module("conv2", nn.Sequential(layers))


def to_monai(network: UNet) -> DynUNet:
    """The same network as MONAI's own class, in evaluation mode; its ``state_dict`` is what a MONAI bundle loads.

    With a first stride beyond 1 it is the part before ``unpack_cells``.
    """
    from monai.networks.nets import DynUNet

    twin = DynUNet(**monai_config(network.settings))
    result = twin.load_state_dict(network.net.state_dict(), strict=False)
    # DynUNet registers every block a second time under ``skip_layers``; those are the same tensors
    left = [key for key in result.missing_keys if not key.startswith("skip_layers.")] + list(result.unexpected_keys)
    if left:
        raise RuntimeError(f"MONAI's DynUNet names its weights otherwise: {left[:3]}")
    return twin.eval()
