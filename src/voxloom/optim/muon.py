"""Muon: momentum whose every step is made orthogonal, so that no direction of a weight matrix is left behind.

After Jordan et al. 2024, with the scale of Liu et al. 2025 (arXiv 2502.16982), which does not depend on a matrix's shape. A
convolution counts as the matrix (first axis, all others). The Newton-Schulz iteration runs on the Gram matrix, whose side is the
shorter of the two: the long axis is touched twice instead of ten times. Where the shorter side is long, the matrix is made
orthogonal in bands, as in a block step of Khaled et al. 2025 (arXiv 2510.16981): the work grows with the square of that side, and
a ResNet-34 U-Net spent half of its step on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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

    On a graphics card all bands of one shape are made orthogonal together, since many small products leave it idle; and where
    ``found_inf`` (a number on the device of the weights, as of PyTorch's fused optimizers) is 1, neither weights nor state change.
    """

    found_inf: Tensor | None = None

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
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights and weights[0].device.type != "cpu":
                self._step_together(weights, group)
                continue
            for weight in weights:
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                move = self._orthogonal(weight, group["momentum"]) if is_matrix(weight) else self._adam(weight)
                weight.add_(move, alpha=-group["lr"])
        return loss

    def _step_together(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """One step of all weights of a group on a graphics card; nothing is read from it."""
        taken = None if self.found_inf is None else self.found_inf == 0
        keep = torch.ones((), device=weights[0].device) if taken is None else taken.float()
        matrices = [weight for weight in weights if is_matrix(weight)]
        moves = dict(zip(map(id, matrices), self._orthogonal_moves(matrices, group["momentum"], taken), strict=True))
        for weight in weights:
            if id(weight) not in moves:
                moves[id(weight)] = self._adam_move(weight, taken, keep)
        torch._foreach_mul_(weights, 1 - keep * (group["lr"] * group["weight_decay"]))
        steps = [moves[id(weight)] for weight in weights]
        torch._foreach_mul_(steps, keep * group["lr"])
        torch._foreach_sub_(weights, steps)

    def _orthogonal_moves(self, weights: list[Tensor], momentum: float, taken: Tensor | None) -> list[Tensor]:
        """The moves of matrices, by one iteration for all bands of a shape."""
        matrices = []
        for weight in weights:
            state = self.state[weight]
            past = state.setdefault("momentum", torch.zeros_like(weight))
            gradient = _where(taken, weight.grad, past)
            past.lerp_(gradient, 1 - momentum)
            matrices.append(gradient.lerp(past, momentum).flatten(1).float())
        if not weights:
            return []
        with torch.autocast(weights[0].device.type, enabled=False):
            found = by_bands_together(matrices)
        return [
            (move * (_SCALE * max(move.shape) ** 0.5)).view(weight.shape).to(weight.dtype)
            for move, weight in zip(found, weights, strict=True)
        ]

    def _adam_move(self, weight: Tensor, taken: Tensor | None, keep: Tensor) -> Tensor:
        """Adam's move of a weight on a graphics card, whose count of steps lies there too."""
        state = self.state[weight]
        if not state:
            state |= {"mean": torch.zeros_like(weight), "square": torch.zeros_like(weight)}
        state["step"] = state.get("step", torch.zeros(())).to(weight.device, non_blocking=True) + keep
        gradient = _where(taken, weight.grad, state["mean"])
        state["mean"].lerp_(gradient, 1 - _BETAS[0])
        state["square"].lerp_(_where(taken, gradient.square(), state["square"]), 1 - _BETAS[1])
        first, second = (1 - beta ** state["step"].clamp(min=1) for beta in _BETAS)
        move: Tensor = (state["mean"] / first) / ((state["square"] / second).sqrt() + _EPS)
        return move

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


def by_bands_together(matrices: Sequence[Tensor]) -> list[Tensor]:
    """What :func:`by_bands` makes of every matrix; bands of one shape go through the iteration together."""
    axes = [int(matrix.shape[0] > matrix.shape[1]) for matrix in matrices]
    bands = [
        matrix.chunk(math.ceil(matrix.shape[axis] / _BAND), axis) for matrix, axis in zip(matrices, axes, strict=True)
    ]
    alike: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for n, parts in enumerate(bands):
        for m, part in enumerate(parts):
            alike.setdefault(tuple(part.shape), []).append((n, m))
    found: dict[tuple[int, int], Tensor] = {}
    for places in alike.values():
        together = orthogonalized(torch.stack([bands[n][m] for n, m in places]))
        found.update(zip(places, together.unbind(), strict=True))
    return [torch.cat([found[n, m] for m in range(len(parts))], axes[n]) for n, parts in enumerate(bands)]


def _where(taken: Tensor | None, new: Tensor | None, old: Tensor) -> Tensor:
    """The new values where the step is taken, else the old ones."""
    assert new is not None
    return new if taken is None else torch.where(taken, new, old)


def orthogonalized(matrix: Tensor) -> Tensor:
    """The nearest matrix with orthonormal rows or columns, roughly: singular vectors kept, singular values near 1.

    Of several (..., n, m), each. Each quintic step multiplies X (n, m), n <= m, by a polynomial P of its Gram matrix G = X X',
    and G becomes P G P; so the product of all P is found among n x n matrices.
    """
    flat = matrix.shape[-2] <= matrix.shape[-1]
    wide = matrix if flat else matrix.mT
    wide = wide / (torch.linalg.matrix_norm(wide, keepdim=True) + 1e-7)
    gram = wide @ wide.mT
    unit = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    product = factor = _polynomial(gram, unit)
    for _ in range(1, _STEPS):
        gram = factor @ gram @ factor
        factor = _polynomial(gram, unit)
        product = factor @ product
    found = product @ wide
    return found if flat else found.mT


def _polynomial(gram: Tensor, unit: Tensor) -> Tensor:
    return _A * unit + _B * gram + _C * (gram @ gram)
