"""Dice on the validation cases while training, on the prepared grid.

Knows networks and prepared cases. The figures that count are computed later on the source grid by ``voxloom.evaluation``.
"""

from __future__ import annotations

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
    """

    cases: Sequence[PatchSource]
    labels: Labels
    patch: Triple
    overlap: float
    precision: str
    device: torch.device
    channels_last: bool = True
    stack: SliceStack = SINGLE

    def dice(self, network: nn.Module) -> NDArray[np.float64]:
        """Mean Dice per label over the cases, shape (labels,); a label absent in truth and prediction counts as 1."""
        was_training = network.training
        network.eval()
        scores = np.array([self._case(network, case) for case in self.cases])
        network.train(was_training)
        mean: NDArray[np.float64] = scores.mean(axis=0)
        return mean

    def _case(self, network: nn.Module, case: PatchSource) -> list[float]:
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
        return label_dice(probabilities, truth, self.labels)


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
