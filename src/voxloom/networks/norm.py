"""Instance normalization that is fast on CPUs in channels-last layout.

PyTorch's instance norm reshapes (B, C, ...) to (1, B*C, ...), which copies channels-last tensors and leaves its fast kernels.
Here every sample goes through the batch-norm kernel of its own layout. Same parameters and result as ``InstanceNorm``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class _PerSampleNorm(torch.autograd.Function):
    """Batch norm of every sample on its own; float32 statistics and parameters, input of any float type."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        y = torch.empty_like(x)
        means, inverse_deviations = [], []
        for n in range(len(x)):
            out, mean, inverse = torch.native_batch_norm(x[n : n + 1], weight, bias, None, None, True, 0.0, eps)
            y[n : n + 1].copy_(out)
            means.append(mean)
            inverse_deviations.append(inverse)
        ctx.save_for_backward(x, weight, torch.stack(means), torch.stack(inverse_deviations))
        ctx.eps = eps
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, means, inverse = ctx.saved_tensors
        layout = torch.channels_last_3d if x.ndim == 5 else torch.channels_last
        gradient = gradients[0].contiguous(memory_format=layout)
        dx, dw, db = torch.empty_like(x), torch.zeros_like(weight), torch.zeros_like(weight)
        for n in range(len(x)):
            part, w, b = torch.ops.aten.native_batch_norm_backward(
                gradient[n : n + 1], x[n : n + 1], weight, None, None, means[n], inverse[n], True, ctx.eps, [True, True, True]
            )
            dx[n : n + 1].copy_(part)
            dw += w
            db += b
        return dx, dw, db, None


class FastInstanceNorm(nn.Module):
    """Instance normalization with affine parameters, over the spatial axes of (B, C, ...).

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
        layout = torch.channels_last_3d if x.ndim == 5 else torch.channels_last
        if x.device.type == "cpu" and x.is_contiguous(memory_format=layout) and not torch.jit.is_tracing():
            result: Tensor = _PerSampleNorm.apply(x, self.weight, self.bias, self.eps)
            return result
        return nn.functional.instance_norm(x, weight=self.weight.to(x.dtype), bias=self.bias.to(x.dtype), eps=self.eps)
