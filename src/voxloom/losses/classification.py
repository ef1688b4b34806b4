"""Losses of whole-case answers (B, L) against targets (B, T). Rows or entries that are not a number are unknown and count nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class SoftCrossEntropy(nn.Module):
    """Cross-entropy with distributions over the classes, focal where asked (Lin et al. 2017).

    Parameters
    ----------
    weights : importance of every class; None for equal importance.
    gamma : power of 1 - p; 0 is plain cross-entropy.
    smoothing : share of every target that is spread over all classes (Szegedy et al. 2016).
    """

    weights: Tensor | None

    def __init__(self, weights: Sequence[float] | None = None, gamma: float = 0.0, smoothing: float = 0.0) -> None:
        super().__init__()
        self.gamma, self.smoothing = gamma, smoothing
        self.register_buffer("weights", None if weights is None else torch.tensor(list(weights)))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean over the cases, weighted by their classes."""
        log_p = functional.log_softmax(logits.float(), dim=1)
        soft = (1 - self.smoothing) * target + self.smoothing / target.shape[1]
        cost = -soft * log_p
        if self.gamma:
            cost = cost * (1 - log_p.exp()) ** self.gamma
        if self.weights is None:
            return cost.sum(1).mean()
        weights = self.weights.to(logits.device)
        return (cost * weights).sum() / (target * weights).sum().clamp_min(1e-6)


class MaskedBinaryCrossEntropy(nn.Module):
    """Binary cross-entropy of every finding that is known; ``positive`` weighs the positive ones of each."""

    positive: Tensor | None

    def __init__(self, positive: Sequence[float] | None = None, gamma: float = 0.0, smoothing: float = 0.0) -> None:
        super().__init__()
        self.gamma, self.smoothing = gamma, smoothing
        self.register_buffer("positive", None if positive is None else torch.tensor(list(positive)))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean over the known findings."""
        known = torch.isfinite(target)
        truth = torch.where(known, target, torch.zeros_like(target))
        soft = truth * (1 - self.smoothing) + self.smoothing / 2
        weight = None if self.positive is None else self.positive.to(logits.device)
        cost = functional.binary_cross_entropy_with_logits(logits.float(), soft, pos_weight=weight, reduction="none")
        if self.gamma:
            p = torch.sigmoid(logits.float())
            cost = cost * (1 - (truth * p + (1 - truth) * (1 - p))) ** self.gamma
        return (cost * known).sum() / known.sum().clamp_min(1)


class NumberLoss(nn.Module):
    """Error of numbers that are known.

    Parameters
    ----------
    kind : "l1", "mse", "huber" (Huber 1964), or "gaussian": answers hold the means, then the logarithms of the variances
        (Nix and Weigend 1994).
    delta : of Huber, where the error turns from squared to linear.
    """

    def __init__(self, kind: str, delta: float = 1.0) -> None:
        super().__init__()
        self.kind, self.delta = kind, delta

    def forward(self, answers: Tensor, target: Tensor) -> Tensor:
        """Mean over the known numbers."""
        answers, known = answers.float(), torch.isfinite(target)
        truth = torch.where(known, target, torch.zeros_like(target))
        if self.kind == "gaussian":
            mean, log_variance = answers.chunk(2, dim=1)
            log_variance = log_variance.clamp(-10, 10)
            cost = 0.5 * (log_variance + (truth - mean) ** 2 * torch.exp(-log_variance))
        elif self.kind == "huber":
            cost = functional.huber_loss(answers, truth, reduction="none", delta=self.delta)
        else:
            cost = (answers - truth).abs() if self.kind == "l1" else (answers - truth) ** 2
        return (cost * known).sum() / known.sum().clamp_min(1)
