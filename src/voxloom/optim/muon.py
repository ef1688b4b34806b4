"""Muon: momentum whose every step is made orthogonal, so that no direction of a weight matrix is left behind.

After Jordan et al. 2024, with the scale of Liu et al. 2025 (arXiv 2502.16982), which does not depend on a matrix's shape. A
convolution counts as the matrix (first axis, all others). The Newton-Schulz iteration runs on the Gram matrix, whose side is the
shorter of the two: the long axis is touched twice instead of ten times. Where the shorter side is long, the matrix is made
orthogonal in bands, as in a block step of Khaled et al. 2025 (arXiv 2510.16981): the work grows with the square of that side, and
a ResNet-34 U-Net spent half of its step on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

#: Coefficients and number of steps of the quintic iteration; singular values end between about 0.7 and 1.2.
_A, _B, _C, _STEPS = 3.4445, -4.7750, 2.0315, 5
#: A weight with a shorter side than this (biases, norms, a filter of its own) takes steps of Adam.
_SHORTEST = 2
#: The most rows of a band.
_BAND = 128
_SCALE = 0.2
_BETAS, _EPS = (0.9, 0.99), 1e-8


class Muon(torch.optim.Optimizer):
    """Orthogonal steps for matrices and convolutions, Adam's for everything else; decay is decoupled.

    An orthogonal step has a root mean square of about a fifth of the learning rate, one of Adam's up to the whole of it: norms
    and biases that were held back to a fifth cost half a Dice point on hippocampus.

    Parameters
    ----------
    parameters : weights, or groups of them.
    lr, weight_decay : learning rate, and decay of the weights per unit of it.
    momentum : of the gradient (Nesterov's).
    """

    def __init__(self, parameters: Any, lr: float, weight_decay: float = 0.0, *, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of every weight that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                move = self._orthogonal(weight, group["momentum"]) if is_matrix(weight) else self._adam(weight)
                weight.add_(move, alpha=-group["lr"])
        return loss

    def _orthogonal(self, weight: Tensor, momentum: float) -> Tensor:
        state, gradient = self.state[weight], weight.grad
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        past = state["momentum"]
        past.lerp_(gradient, 1 - momentum)
        matrix = gradient.lerp(past, momentum).flatten(1).float()
        scale = _SCALE * max(matrix.shape) ** 0.5
        with torch.autocast(weight.device.type, enabled=False):  # in bfloat16 the iteration diverges
            return (by_bands(matrix) * scale).view(weight.shape).to(weight.dtype)

    def _adam(self, weight: Tensor) -> Tensor:
        state, gradient = self.state[weight], weight.grad
        assert gradient is not None
        if not state:
            state |= {"step": torch.zeros(()), "mean": torch.zeros_like(weight), "square": torch.zeros_like(weight)}
        state["step"] += 1
        state["mean"].lerp_(gradient, 1 - _BETAS[0])
        state["square"].lerp_(gradient.square(), 1 - _BETAS[1])
        first, second = (1 - beta ** float(state["step"]) for beta in _BETAS)
        move: Tensor = (state["mean"] / first) / ((state["square"] / second).sqrt() + _EPS)
        return move


def is_matrix(weight: Tensor) -> bool:
    """Whether a weight, as (first axis, all others), is a matrix of more than one row and column."""
    return weight.ndim > 1 and min(weight.shape[0], weight[0].numel()) >= _SHORTEST


def by_bands(matrix: Tensor) -> Tensor:
    """A matrix whose shorter side is cut into equal bands of at most 128, each of them :func:`orthogonalized`."""
    axis = int(matrix.shape[0] > matrix.shape[1])
    bands = matrix.chunk(math.ceil(matrix.shape[axis] / _BAND), axis)
    return torch.cat([orthogonalized(band) for band in bands], axis)


def orthogonalized(matrix: Tensor) -> Tensor:
    """The nearest matrix with orthonormal rows or columns, roughly: singular vectors kept, singular values near 1.

    Each quintic step multiplies X (n, m), n <= m, by a polynomial P of its Gram matrix G = X X', and G becomes P G P; so the
    product of all P is found among n x n matrices.
    """
    wide = matrix if len(matrix) <= matrix.shape[1] else matrix.mT
    wide = wide / (torch.linalg.matrix_norm(wide) + 1e-7)
    gram = wide @ wide.mT
    unit = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    product = factor = _polynomial(gram, unit)
    for _ in range(1, _STEPS):
        gram = factor @ gram @ factor
        factor = _polynomial(gram, unit)
        product = factor @ product
    found = product @ wide
    return found if len(matrix) <= matrix.shape[1] else found.mT


def _polynomial(gram: Tensor, unit: Tensor) -> Tensor:
    return _A * unit + _B * gram + _C * (gram @ gram)
