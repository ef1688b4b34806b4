"""A 3D convolution that is fast for a single small window on a CPU. Knows no network.

For a batch of one whose channels x rows x columns are at most 20,480, PyTorch leaves oneDNN for a kernel of its own that
is several times slower (``ConvParams::use_mkldnn`` in ATen). Such windows are what prediction is made of: those of a small
scan, and the deep levels of any. ``benchmarks/RESULTS.md`` has the figures.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WindowConv3d(nn.Conv3d):
    """``nn.Conv3d`` with zero padding, same parameters and result; without gradients, one window takes oneDNN too."""

    def forward(self, input: Tensor) -> Tensor:
        """(1 or B, C, I, J, K) to (1 or B, D, ...)."""
        if not self._takes_fast_way(input):
            return super().forward(input)
        assert not isinstance(self.padding, str)
        return torch.mkldnn_convolution(
            input, self.weight, self.bias, self.padding, self.stride, self.dilation, self.groups
        )

    def _takes_fast_way(self, x: Tensor) -> bool:
        if torch.is_grad_enabled() or torch.jit.is_tracing() or torch.compiler.is_compiling():
            return False
        plain = x.device.type == "cpu" and x.dtype is torch.float32 and self.weight.dtype is torch.float32
        alone = x.ndim == 5 and len(x) == 1
        return plain and alone and not torch.is_autocast_enabled("cpu") and torch.backends.mkldnn.is_available()
