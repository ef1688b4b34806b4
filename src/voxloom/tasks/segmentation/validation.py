"""Dice on the validation cases while training, on the prepared grid.

Knows networks and prepared cases. The figures that count are computed later on the source grid by ``voxloom.evaluation``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from voxloom.dataset.labels import Labels
from voxloom.inference.precision import autocast_dtype
from voxloom.inference.windows import SINGLE, predict_map
from voxloom.prepare import SliceStack
from voxloom.training.sampling import PatchSource, Triple


@dataclass(frozen=True)
class Validator:
    """Predicts cases and scores them.

    Parameters
    ----------
    cases : prepared validation cases.
    labels : which inner indices make up which label.
    patch, overlap : windows of the prediction.
    precision : "bf16" or "fp32".
    device : where the network lives.
    stack : neighboring slices that a 2D network sees.
    loss : computed from the probabilities of whole cases where it is given.
    """

    cases: Sequence[PatchSource]
    labels: Labels
    patch: Triple
    overlap: float
    precision: str
    device: torch.device
    channels_last: bool = True
    stack: SliceStack = SINGLE
    loss: nn.Module | None = None

    def dice(self, network: nn.Module) -> NDArray[np.float64]:
        """Mean Dice per label over the cases, shape (labels,); a label absent in truth and prediction counts as 1."""
        return np.array(self.scores(network)[0])

    def scores(self, network: nn.Module) -> tuple[list[float], float]:
        """Mean Dice per label over the cases, and the mean loss (not a number where none is given)."""
        was_training = network.training
        network.eval()
        found = [self._case(network, case) for case in self.cases]
        network.train(was_training)
        dice = np.array([case for case, _ in found]).mean(axis=0)
        return dice.tolist(), float(np.mean([loss for _, loss in found]))

    def _case(self, network: nn.Module, case: PatchSource) -> tuple[list[float], float]:
        truth = case.label()
        assert truth is not None
        probabilities = predict_map(
            network,
            case.image(),
            patch=self.patch,
            overlap=self.overlap,
            device=self.device,
            autocast_dtype=autocast_dtype(self.precision, self.device),
            activation="sigmoid" if self.labels.has_regions else "softmax",
            channels_last=self.channels_last,
            stack=self.stack,
        )
        dice = label_dice(probabilities, truth, self.labels)
        return dice, math.nan if self.loss is None else self._loss(probabilities, truth)

    def _loss(self, probabilities: NDArray[np.floating], truth: NDArray[np.integer]) -> float:
        """The loss of logits that give these probabilities, on the network's device."""
        assert self.loss is not None
        p = torch.from_numpy(np.asarray(probabilities, dtype=np.float32)).to(self.device).clamp(1e-5, 1 - 1e-5)
        logits = torch.logit(p) if self.labels.has_regions else p.log()
        label = torch.from_numpy(truth.astype(np.int64)).to(self.device)
        return float(self.loss(logits[None], label[None]))


def label_dice(probabilities: NDArray[np.floating], truth: NDArray[np.integer], labels: Labels) -> list[float]:
    """Dice per label.

    Parameters
    ----------
    probabilities : (L, I, J, K); L = one per label for regions, background first otherwise.
    truth : inner label (I, J, K); voxels of the ignore index count nowhere.
    """
    membership = labels.membership()
    valid = truth != labels.ignore_index if labels.ignore_index is not None else np.ones(truth.shape, dtype=bool)
    index = np.where(valid, truth, 0)
    winner = None if labels.has_regions else probabilities.argmax(axis=0)
    scores = []
    for n in range(labels.count):
        found = probabilities[n] > 0.5 if winner is None else winner == n + 1
        found, true = found & valid, membership[n][index] & valid
        size = int(found.sum()) + int(true.sum())
        scores.append(2.0 * int((found & true).sum()) / size if size else 1.0)
    return scores
