"""Convolutions in three dimensions that go around what PyTorch's CPU kernels do slowly or wrongly. Knows no network.

Slowly: for a batch of one whose channels x rows x columns are at most 20,480, PyTorch leaves oneDNN for a kernel of its own that
is several times slower (``ConvParams::use_mkldnn`` in ATen). Such windows are what prediction is made of: those of a small
scan, and the deep levels of any. ``benchmarks/RESULTS.md`` has the figures.

Wrongly: where a padded kernel is longer than its map, oneDNN's bfloat16 gradient of the weights reads planes that do not exist
(``docs/faults.md``). Such a layer is computed in float32 while it learns; the maps are a few voxels long, so it costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Conv3d(nn.Conv3d):
    """``nn.Conv3d``, same parameters and result, whose weights never learn from a wrong bfloat16 gradient."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, I, J, K) to (B, D, ...), of the type that autocast asks for."""
        if not learns_in_bf16(input, self.weight) or not outgrown(
            input.shape[2:], self.kernel_size, self.dilation, self.padding
        ):
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float()).to(_type_of(input))


class ConvTranspose3d(nn.ConvTranspose3d):
    """``nn.ConvTranspose3d``, likewise; the map that its kernel must fit into is the enlarged one."""

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:  # type: ignore[override]
        """(B, C, I, J, K) to (B, D, ...), of the type that autocast asks for."""
        wanted = None if output_size is None else list(output_size)
        if not learns_in_bf16(input, self.weight) or not outgrown(
            self._enlarged(input.shape[2:]), self.kernel_size, self.dilation, self.padding
        ):
            return super().forward(input, wanted)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float(), wanted).to(_type_of(input))

    def _enlarged(self, size: Sequence[int]) -> tuple[int, ...]:
        """Voxels of the smallest result; ``output_size`` can only make it longer."""
        assert not isinstance(self.padding, str)
        axes = zip(size, self.stride, self.padding, self.dilation, self.kernel_size, strict=True)
        return tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in axes)


class WindowConv3d(Conv3d):
    """``Conv3d`` with zero padding; without gradients, one window takes oneDNN too."""

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


def learns_in_bf16(x: Tensor, weight: Tensor) -> bool:
    """Whether the gradient of float32 weights would be computed in bfloat16 on a CPU."""
    learns = torch.is_grad_enabled() and weight.requires_grad and weight.dtype is torch.float32
    return learns and x.device.type == "cpu" and _type_of(x) is torch.bfloat16


def outgrown(size: Sequence[int], kernel: Sequence[int], dilation: Sequence[int], padding: Sequence[int] | str) -> bool:
    """Whether a padded kernel is longer than the map along any axis: 3 voxels on 2, or on 1.

    oneDNN errs where it is along the first axis; the others are taken along, since such maps are too small to be worth a guess.
    """
    padded = [1] * len(size) if isinstance(padding, str) else padding
    axes = zip(size, kernel, dilation, padded, strict=True)
    return any(p > 0 and d * (k - 1) + 1 > n for n, k, d, p in axes)


def _type_of(x: Tensor) -> torch.dtype:
    """What the layer would compute in."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
