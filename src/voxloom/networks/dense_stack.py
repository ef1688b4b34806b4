"""Densely connected dilated layers in memory that grows with their number, not with its square.

Automatic differentiation of a chain of concatenations keeps a copy of everything before for every layer. Here all layers
write into one buffer, and the backward pass reads its inputs from it again; with instance norm the convolutions'
results are kept too, one channel per layer. Knows no head and no settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

#: Slope of LeakyReLU below 0, and what is added to the variance.
SLOPE, EPS = 0.01, 1e-5


@dataclass(frozen=True)
class DenseLayer:
    """One output channel: a dilated 3-wide convolution of the first ``inputs`` channels, written to channel ``output``."""

    inputs: int
    output: int
    dilation: int


def reflected(x: Tensor, width: int) -> Tensor:
    """``x`` (B, C, ...) continued by ``width`` on both ends of every spatial axis, mirrored at the edge voxels.

    A short axis is mirrored as often as needed; one of a single voxel is repeated.
    """
    axes = x.ndim - 2
    for axis in range(axes):
        left = width
        while left:
            size = int(x.shape[2 + axis])
            step = min(left, size - 1) or left
            pad = [0, 0] * axes
            pad[2 * (axes - 1 - axis)] = pad[2 * (axes - 1 - axis) + 1] = step
            x = functional.pad(x, pad, mode="reflect" if size > 1 else "replicate")
            left -= step
    return x


def dense_stack(x: Tensor, layers: Sequence[DenseLayer], normalized: bool, parameters: Sequence[Tensor]) -> Tensor:
    """All channels (B, C + layers, ...): those of ``x``, then one per layer.

    Parameters
    ----------
    normalized : zero padding, instance norm and LeakyReLU; otherwise reflection padding, bias and ReLU.
    parameters : for every layer its kernel (1, inputs, 3, ...), then norm weight and bias where normalized, else the bias.
    """
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        x = x.to(torch.get_autocast_dtype(kind))
    with torch.autocast(kind, enabled=False):
        if torch.is_grad_enabled():
            result: Tensor = _DenseStack.apply(x, tuple(layers), normalized, *parameters)
            return result
        return _fill(x, layers, normalized, parameters)[0]


def _fill(
    x: Tensor, layers: Sequence[DenseLayer], normalized: bool, parameters: Sequence[Tensor]
) -> tuple[Tensor, Tensor | None]:
    """The buffer of all channels, and the convolutions' results where normalized."""
    batch, channels, *size = x.shape
    buffer = x.new_empty(batch, channels + len(layers), *size)
    buffer[:, :channels] = x
    before = x.new_empty(batch, len(layers), *size) if normalized else None
    per_layer = 3 if normalized else 2
    for n, layer in enumerate(layers):
        kernel, *rest = parameters[n * per_layer : (n + 1) * per_layer]
        seen = buffer[:, : layer.inputs]
        here = slice(layer.output, layer.output + 1)
        if before is None:
            found = _convolve(reflected(seen, layer.dilation), kernel, rest[0], layer, 0)
            buffer[:, here] = found.relu_()
        else:
            before[:, n : n + 1] = _convolve(seen, kernel, None, layer, layer.dilation)
            buffer[:, here] = _activate(before[:, n : n + 1], rest[0], rest[1])
    return buffer, before


def _convolve(x: Tensor, kernel: Tensor, bias: Tensor | None, layer: DenseLayer, padding: int) -> Tensor:
    function = functional.conv2d if x.ndim == 4 else functional.conv3d
    bias = None if bias is None else bias.to(x.dtype)
    found: Tensor = function(x, kernel.to(x.dtype), bias, padding=padding, dilation=layer.dilation)
    return found


def _activate(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Instance norm in float32, LeakyReLU."""
    wide = x if x.dtype is torch.float64 else x.float()
    normed = functional.instance_norm(wide, weight=weight, bias=bias, eps=EPS)
    return functional.leaky_relu(normed, SLOPE).to(x.dtype)


class _DenseStack(torch.autograd.Function):
    """The whole stack as one step of automatic differentiation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layers: tuple[DenseLayer, ...], normalized: bool, *parameters: Tensor) -> Tensor:
        buffer, before = _fill(x, layers, normalized, parameters)
        ctx.layers, ctx.channels = layers, x.shape[1]
        ctx.save_for_backward(buffer, before, *parameters)
        return buffer

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        buffer, before, *parameters = ctx.saved_tensors
        total = gradient.to(buffer.dtype, copy=True, memory_format=torch.contiguous_format)
        per_layer = 2 if before is None else 3
        found: list[Tensor] = []
        for n, layer in reversed(list(enumerate(ctx.layers))):
            kernel, *rest = parameters[n * per_layer : (n + 1) * per_layer]
            here = slice(layer.output, layer.output + 1)
            if before is None:
                inner = total[:, here] * (buffer[:, here] > 0)
                others = [inner.sum(dim=[0, *range(2, inner.ndim)], dtype=rest[0].dtype)]
            else:
                inner, *others = _activation_backward(before[:, n : n + 1], rest, total[:, here])
            into_input, into_kernel = _convolution_backward(
                inner, buffer[:, : layer.inputs], kernel, layer, before is None
            )
            total[:, : layer.inputs] += into_input
            found[:0] = [into_kernel.to(kernel.dtype), *others]
        return (total[:, : ctx.channels], None, None, *found)


def _activation_backward(before: Tensor, parameters: Sequence[Tensor], gradient: Tensor) -> tuple[Tensor, ...]:
    """Gradients of norm and activation: of their input, the norm's weight and its bias."""
    with torch.enable_grad():
        inputs = [before.detach().requires_grad_(), *(p.detach().requires_grad_() for p in parameters)]
        return torch.autograd.grad(_activate(*inputs), inputs, gradient)


def _convolution_backward(
    gradient: Tensor, seen: Tensor, kernel: Tensor, layer: DenseLayer, reflect: bool
) -> tuple[Tensor, Tensor]:
    """Gradients of a layer's input and kernel; the padding is made again rather than kept."""
    with torch.enable_grad():
        source = seen.detach().requires_grad_()
        padded = reflected(source, layer.dilation) if reflect else source
        axes = seen.ndim - 2
        into_padded, into_kernel, _ = torch.ops.aten.convolution_backward(
            gradient, padded.detach(), kernel.to(seen.dtype), None, [1] * axes,
            [0 if reflect else layer.dilation] * axes, [layer.dilation] * axes, False, [0] * axes, 1, [True, True, False],
        )  # fmt: skip
        if not reflect:
            return into_padded, into_kernel
        return torch.autograd.grad(padded, source, into_padded)[0], into_kernel
