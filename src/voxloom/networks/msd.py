"""The mixed-scale dense network (Pelt and Sethian, PNAS 2018): no pooling, dilated layers that all see each other.

Memory grows with the number of layers, not with its square (``dense_stack``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxloom.networks.base import SegmentationNetwork
from voxloom.networks.dense_stack import DenseLayer, dense_stack
from voxloom.networks.settings import MixedScaleSettings


class MixedScaleDense(SegmentationNetwork):
    """Logits (B, L, ...) of an image (B, C, ...) of any size, 2D or 3D.

    Channel j of layer i is a convolution of all channels before layer i with dilation (i * width + j) mod ``dilations`` + 1;
    the head is a 1x1 convolution of all channels, the image's own included.
    """

    def __init__(self, settings: MixedScaleSettings) -> None:
        super().__init__()
        self.settings: MixedScaleSettings = settings
        self.normalized = settings.form == "normalized"
        first, width = settings.in_channels, settings.width
        self.layers = [
            DenseLayer(first + n // width * width, first + n, n % settings.dilations + 1)
            for n in range(settings.depth * width)
        ]
        self.dense = nn.ParameterList(self._first_weights())
        convolution = nn.Conv2d if settings.dims == 2 else nn.Conv3d
        self.head = convolution(first + len(self.layers), settings.out_channels, 1)

    def _first_weights(self) -> list[Tensor]:
        """Kernels of variance 2 / fan-in (He et al. 2015); norms and biases as they start."""
        weights = []
        for layer in self.layers:
            kernel = torch.empty(1, layer.inputs, *[3] * self.settings.dims)
            nn.init.kaiming_normal_(kernel, nonlinearity="relu")
            weights += [kernel, *([torch.ones(1)] if self.normalized else []), torch.zeros(1)]
        return weights

    def encoder_stages(self) -> list[list[nn.Module]]:
        """All dense layers are one stage."""
        return [[self.dense]]

    def forward(self, x: Tensor) -> Tensor:
        """Logits; see the class."""
        logits: Tensor = self.head(dense_stack(x, self.layers, self.normalized, list(self.dense)))
        return logits
