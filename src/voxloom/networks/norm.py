"""Instance normalization that is fast on CPUs in channels-last layout.

PyTorch's instance norm reshapes (B, C, ...) to (1, B*C, ...), which copies channels-last tensors and leaves its fast
kernels. Here every sample goes through the batch-norm kernel of its own layout. Same parameters and result as
``InstanceNorm``; ``docs/networks.md`` has the figures. Knows no network.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_FAST_TYPES = (torch.float32, torch.bfloat16)


def channels_last_of(x: Tensor) -> torch.memory_format:
    """The channels-last layout for a tensor of 4 or 5 axes."""
    return torch.channels_last_3d if x.ndim == 5 else torch.channels_last


class _PerSampleNorm(torch.autograd.Function):
    """Batch norm of every sample on its own, written straight into the result; float32 statistics and parameters."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        y = torch.empty_like(x)
        mean, inverse = weight.new_empty(x.shape[:2]), weight.new_empty(x.shape[:2])
        for n in range(len(x)):
            out = (y[n : n + 1], mean[n], inverse[n])
            torch.native_batch_norm(x[n : n + 1], weight, bias, None, None, True, 0.0, eps, out=out)
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.eps = eps
        return y

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, inverse = ctx.saved_tensors
        gradient = gradient.to(x.dtype).contiguous(memory_format=channels_last_of(x))
        dx, dw, db = torch.empty_like(x), torch.empty_like(mean), torch.empty_like(mean)
        for n in range(len(x)):
            one = slice(n, n + 1)
            torch.ops.aten.native_batch_norm_backward.out(
                gradient[one], x[one], weight, None, None, mean[n], inverse[n], True, ctx.eps, [True, True, True],
                out0=dx[one], out1=dw[n], out2=db[n],
            )  # fmt: skip
        return dx, dw.sum(0), db.sum(0), None


class FastInstanceNorm(nn.Module):
    """Instance normalization with affine parameters, over the spatial axes of (B, C, ...) (Ulyanov et al. 2016).

    On a CPU in channels-last layout it takes the fast way, elsewhere PyTorch's own.

    Parameters
    ----------
    channels : C.
    eps : added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalized (B, C, ...), of the type of ``x``."""
        if self._takes_fast_way(x):
            result: Tensor = _PerSampleNorm.apply(x, self.weight, self.bias, self.eps)
            return result
        return nn.functional.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)

    def _takes_fast_way(self, x: Tensor) -> bool:
        if torch.jit.is_tracing() or torch.compiler.is_compiling() or x.device.type != "cpu" or x.ndim not in (4, 5):
            return False
        known = x.dtype in _FAST_TYPES and self.weight.dtype is torch.float32
        return known and x.is_contiguous(memory_format=channels_last_of(x))
