"""Densely connected dilated layers, in memory that grows with their number, not with its square.

Automatic differentiation of a chain of concatenations keeps a copy of everything before for every layer. Here all layers
write into one buffer, and the backward pass reads its inputs from it again; with instance norm the convolutions'
results are kept too, one channel per layer. A layer has a single output channel, for which a convolution is slow: products of
matrices take its place (``taps``), and what a few layers in a row see of all earlier ones is a single product. Knows no head and no
settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from voxloom.networks.taps import spread_taps, sum_taps

#: Slope of LeakyReLU below 0, and what is added to the variance.
SLOPE, EPS = 0.01, 1e-5
#: Maps of taps that are made at once: more make better products, and more memory.
_MAPS = 96
#: Voxels of a map that a CPU works on at a time, so that the maps stay in its cache.
_CACHED_VOXELS = 1 << 16


@dataclass(frozen=True)
class DenseLayer:
    """One output channel: a dilated 3-wide convolution of the first ``inputs`` channels, written to channel ``output``."""

    inputs: int
    output: int
    dilation: int


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
        return _fill(x, _blocks(layers, normalized, parameters, x.dtype), len(layers), normalized)[0]


class _DenseStack(torch.autograd.Function):
    """The whole stack as one step of automatic differentiation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layers: tuple[DenseLayer, ...], normalized: bool, *parameters: Tensor) -> Tensor:
        buffer, before = _fill(x, _blocks(layers, normalized, parameters, x.dtype), len(layers), normalized)
        ctx.layers, ctx.channels = layers, x.shape[1]
        ctx.save_for_backward(buffer, before, *parameters)
        return buffer

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        buffer, before, *parameters = ctx.saved_tensors
        blocks = _blocks(ctx.layers, before is not None, parameters, buffer.dtype)
        total = gradient.to(buffer.dtype, copy=True, memory_format=torch.contiguous_format)
        found = [torch.zeros_like(weight) for weight in parameters]
        per_layer = len(parameters) // len(ctx.layers)
        for part in _parts(buffer):
            for block in reversed(blocks):
                into = found[block.first * per_layer : (block.first + len(block.layers)) * per_layer]
                block.backward(buffer[part], None if before is None else before[part], total[part], into)
        return (total[:, : ctx.channels], None, None, *found)


def _fill(x: Tensor, blocks: Sequence[_Block], count: int, normalized: bool) -> tuple[Tensor, Tensor | None]:
    """The buffer of all channels, and the convolutions' results where normalized."""
    batch, channels, *size = x.shape
    buffer = x.new_empty(batch, channels + count, *size)
    buffer[:, :channels] = x
    before = x.new_empty(batch, count, *size) if normalized else None
    for part in _parts(buffer):
        for block in blocks:
            block.forward(buffer[part], None if before is None else before[part])
    return buffer, before


def _parts(buffer: Tensor) -> Iterator[slice]:
    """The samples that are worked on together: on a CPU as many as its cache holds."""
    step = len(buffer)
    if buffer.device.type == "cpu":
        step = max(1, min(step, _CACHED_VOXELS // max(1, buffer[0, 0].numel())))
    for start in range(0, len(buffer), step):
        yield slice(start, start + step)


def _blocks(
    layers: Sequence[DenseLayer], normalized: bool, parameters: Sequence[Tensor], dtype: torch.dtype
) -> list[_Block]:
    """Layers in a row whose maps of taps are made at once."""
    per_layer = len(parameters) // len(layers)
    together = max(1, _MAPS // parameters[0][0, 0].numel())
    starts = range(0, len(layers), together)
    return [
        _Block(layers[n : n + together], n, parameters[n * per_layer : (n + together) * per_layer], normalized, dtype)
        for n in starts
    ]


class _Block:
    """A few layers in a row: one product for what all of them see, and small ones for what they see of each other.

    Parameters
    ----------
    layers, first : the layers, and the number of the first.
    parameters : of these layers, see :func:`dense_stack`.
    dtype : of the maps.
    """

    def __init__(
        self,
        layers: Sequence[DenseLayer],
        first: int,
        parameters: Sequence[Tensor],
        normalized: bool,
        dtype: torch.dtype,
    ) -> None:
        self.layers, self.first, self.reflect = layers, first, not normalized
        self.per_layer = len(parameters) // len(layers)
        self.others = [parameters[n + 1 : n + self.per_layer] for n in range(0, len(parameters), self.per_layer)]
        kernels = [kernel[0].flatten(1).mT.to(dtype) for kernel in parameters[:: self.per_layer]]
        self.seen = layers[0].inputs
        self.common = torch.cat([kernel[:, : self.seen] for kernel in kernels])
        self.own = [kernel[:, self.seen :] for kernel in kernels]

    def forward(self, buffer: Tensor, before: Tensor | None) -> None:
        """Write these layers' channels, and what they were before the norm, of a few samples."""
        maps = self._maps(buffer)
        _add_product(maps.flatten(1, 2).flatten(2), self.common, buffer[:, : self.seen].flatten(2), keep=False)
        for n, layer in enumerate(self.layers):
            _add_product(maps[:, n].flatten(2), self.own[n], buffer[:, self.seen : layer.inputs].flatten(2))
            found = sum_taps(maps[:, n], layer.dilation, self.reflect)
            here = slice(layer.output, layer.output + 1)
            if before is None:
                buffer[:, here] = found.add_(self.others[n][0].view(-1, *[1] * (found.ndim - 2))).relu_()
            else:
                kept = before[:, self.first + n : self.first + n + 1]
                kept.copy_(found)
                buffer[:, here] = _activate(kept, *self.others[n])

    def backward(self, buffer: Tensor, before: Tensor | None, total: Tensor, into: Sequence[Tensor]) -> None:
        """Add to the gradients of all channels before, and of the parameters, for a few samples.

        Parameters
        ----------
        total : gradients of all channels; those of this block's are complete.
        into : gradients of the parameters, added to.
        """
        maps = self._maps(buffer)
        for n, layer in reversed(list(enumerate(self.layers))):
            kernel, *others = into[n * self.per_layer : (n + 1) * self.per_layer]
            inner = self._before_activation(n, buffer, before, total, others)
            spread_taps(inner.to(maps.dtype), layer.dilation, self.reflect, maps[:, n])
            gradient = maps[:, n].flatten(2)
            own = buffer[:, self.seen : layer.inputs].flatten(2)
            _add_product(total[:, self.seen : layer.inputs].flatten(2), self.own[n].mT, gradient)
            kernel[0, self.seen :].flatten(1).add_(_product_of_samples(own, gradient))
        gradients, seen = maps.flatten(1, 2).flatten(2), buffer[:, : self.seen].flatten(2)
        _add_product(total[:, : self.seen].flatten(2), self.common.mT, gradients)
        common = _product_of_samples(seen, gradients).unflatten(1, (len(self.layers), -1))
        for n in range(len(self.layers)):
            into[n * self.per_layer][0, : self.seen].flatten(1).add_(common[:, n])

    def _maps(self, buffer: Tensor) -> Tensor:
        """Memory for one map per layer and tap, (B, layers, taps, ...)."""
        return buffer.new_empty(len(buffer), len(self.layers), len(self.own[0]), *buffer.shape[2:])

    def _before_activation(
        self, n: int, buffer: Tensor, before: Tensor | None, total: Tensor, into: Sequence[Tensor]
    ) -> Tensor:
        """The gradient of a convolution's result; those of norm or bias are added to ``into``."""
        here = slice(self.layers[n].output, self.layers[n].output + 1)
        if before is None:
            inner = total[:, here] * (buffer[:, here] > 0)
            found = [inner.sum(dim=[0, *range(2, inner.ndim)], dtype=into[0].dtype)]
        else:
            kept = before[:, self.first + n : self.first + n + 1]
            inner, *found = _activation_backward(kept, self.others[n], total[:, here])
        for weight, gradient in zip(into, found, strict=True):
            weight += gradient
        return inner


def _add_product(target: Tensor, matrix: Tensor, maps: Tensor, *, keep: bool = True) -> None:
    """``target`` (B, m, P) += ``matrix`` (m, c) times ``maps`` (B, c, P); without ``keep`` what it held is lost."""
    if maps.device.type != "cpu":
        target.baddbmm_(matrix.expand(len(maps), -1, -1), maps, beta=int(keep))
        return
    for held, given in zip(target, maps, strict=True):  # oneDNN takes twice as long for a batch of bfloat16
        held.addmm_(matrix, given, beta=int(keep))


def _product_of_samples(a: Tensor, b: Tensor) -> Tensor:
    """Sum over samples of a (B, m, P) times b (B, n, P) transposed: (m, n), at least float32."""
    wide = torch.promote_types(a.dtype, torch.float32)
    if a.device.type != "cpu":
        return torch.bmm(a, b.mT).sum(0, dtype=wide)
    return torch.stack([left @ right.mT for left, right in zip(a, b, strict=True)]).sum(0, dtype=wide)


def _activate(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Instance norm in float32, LeakyReLU."""
    wide = x if x.dtype is torch.float64 else x.float()
    normed = functional.instance_norm(wide, weight=weight, bias=bias, eps=EPS)
    return functional.leaky_relu(normed, SLOPE).to(x.dtype)


def _activation_backward(before: Tensor, parameters: Sequence[Tensor], gradient: Tensor) -> tuple[Tensor, ...]:
    """Gradients of norm and activation: of their input, the norm's weight and its bias."""
    with torch.enable_grad():
        inputs = [before.detach().requires_grad_(), *(p.detach().requires_grad_() for p in parameters)]
        return torch.autograd.grad(_activate(*inputs), inputs, gradient)
