"""How networks go over a volume: one value for windows, batches, device, precision and mirror images.

Knows what goes together. Does not know networks, images or labels; made where a training or a run knows its settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from voxloom.errors import BadInput
from voxloom.inference.grid import Triple
from voxloom.prepare.slices import SliceStack

Activation = Literal["softmax", "sigmoid"]
#: One slice, no neighbors.
SINGLE = SliceStack()
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Windowing:
    """Settings of windowed inference.

    Parameters
    ----------
    patch : window size (i, j, k) in voxels; k = 1 runs a 2D network on slices (B, C, i, j).
    overlap : share of a window that its neighbor covers again, from 0 to below 1.
    batch : windows per forward pass.
    device : where windows are sent.
    activation : "softmax" over the maps, or "sigmoid" of each.
    autocast_dtype : lower precision of the network, None for its own.
    tta_axes : axes 0, 1, 2 (i, j, k); the mean is taken over every combination of their mirror images (none included).
    channels_last : whether windows have PyTorch's channels-last memory format.
    stack : neighboring slices that a 2D network sees as further channels; or slices spread over the volume for a 3D network,
        every slice among others at equal distances: then the whole volume comes as one slab.

    Raises
    ------
    BadInput : a patch below 1, an overlap outside [0, 1), or neighboring slices for windows of more than one slice.
    """

    patch: Triple
    overlap: float = 0.5
    batch: int = 1
    device: torch.device = _CPU
    activation: Activation = "softmax"
    autocast_dtype: torch.dtype | None = None
    tta_axes: tuple[int, ...] = ()
    channels_last: bool = True
    stack: SliceStack = SINGLE

    def __post_init__(self) -> None:
        if min(self.patch) < 1 or not 0 <= self.overlap < 1:
            what = f"patch {self.patch} and overlap {self.overlap} make no windows"
            raise BadInput(what, None, "Use an overlap from 0 to below 1")
        if self.stack.neighbors and self.patch[2] != 1:
            what = f"neighboring slices go with windows of one slice, not of {self.patch[2]}"
            raise BadInput(what, "slices.neighbors")
