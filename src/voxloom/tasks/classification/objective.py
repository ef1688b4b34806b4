"""Loss and validation score of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from voxloom.evaluation.auc import auc
from voxloom.losses.classification import MaskedBinaryCrossEntropy, SoftCrossEntropy
from voxloom.tasks.classification.classes import Meaning
from voxloom.tasks.whole_case.settings import ClassificationSettings


@dataclass(frozen=True)
class ClassObjective:
    """See :class:`voxloom.tasks.whole_case.training.Objective`."""

    meaning: Meaning
    settings: ClassificationSettings

    score = "auc"

    @property
    def names(self) -> tuple[str, ...]:
        """The classes; of two the positive one alone, since both have one AUC."""
        classes = self.meaning.classes
        return classes[1:] if len(classes) == 2 and self.meaning.kind != "findings" else classes

    def loss(self, targets: Sequence[np.ndarray]) -> nn.Module:
        """Cross-entropy of the classes, of every finding, or of every step between ordered classes."""
        s, counts = self.settings, np.nansum(np.array(targets, dtype=float), axis=0)
        total = float(len(targets))
        gamma = s.gamma if s.loss == "focal" else 0.0
        balanced = s.class_weights == "balanced"
        if self.meaning.kind == "findings":
            known = np.isfinite(np.array(targets, dtype=float)).sum(axis=0)
            positive = [float((n - c) / max(c, 1)) for n, c in zip(known, counts, strict=True)]
            return MaskedBinaryCrossEntropy(positive if balanced else None, gamma, s.label_smoothing)
        if self.meaning.kind == "ordinal":
            return OrdinalLoss(MaskedBinaryCrossEntropy(None, gamma, s.label_smoothing))
        weights = [total / (len(counts) * max(float(n), 1e-6)) for n in counts] if balanced else None
        return SoftCrossEntropy(weights, gamma, s.label_smoothing)

    def scores(self, answers: Tensor, targets: Tensor) -> list[float]:
        """AUC of every class against the rest; 0.5 where the validation cases have one class only."""
        p, truth = probabilities_of(answers, self.meaning), targets.numpy()
        places = [self.meaning.classes.index(name) for name in self.names]
        found = []
        for n in places:
            known = np.isfinite(truth[:, n])
            positive = truth[known, n] > 0.5
            value = auc(positive, p[known, n]) if known.any() else np.nan
            found.append(0.5 if np.isnan(value) else float(value))
        return found


class OrdinalLoss(nn.Module):
    """Binary cross-entropy of "beyond class k" for every step k (Cheng, Wang and Pollastri 2008)."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits (B, K - 1), shares of the classes (B, K)."""
        found: Tensor = self.loss(logits, beyond(target))
        return found


def beyond(shares: Tensor) -> Tensor:
    """Share of what lies beyond every step (B, K - 1) of ordered classes (B, K)."""
    return shares.flip(1).cumsum(1).flip(1)[:, 1:]


def probabilities_of(answers: Tensor, meaning: Meaning) -> np.ndarray:
    """Probabilities (n, K) of classes or findings from answers (n, L)."""
    if meaning.kind == "findings":
        return np.asarray(torch.sigmoid(answers).double().numpy())
    if meaning.kind == "single":
        return np.asarray(torch.softmax(answers.double(), dim=1).numpy())
    steps = torch.sigmoid(answers.double())
    steps = torch.cummin(steps, dim=1).values  # being beyond a later step is never likelier
    whole = torch.cat([torch.ones_like(steps[:, :1]), steps, torch.zeros_like(steps[:, :1])], dim=1)
    return np.asarray((whole[:, :-1] - whole[:, 1:]).numpy())
