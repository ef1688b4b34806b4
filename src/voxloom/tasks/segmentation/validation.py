"""Dice on the validation cases while training, on the prepared grid.

Knows networks and prepared cases. The figures that count are computed later on the source grid by ``voxloom.evaluation``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from voxloom.dataset.labels import Labels
from voxloom.evaluation.metrics import dice_score
from voxloom.evaluation.surface import surface_distances
from voxloom.inference import Windowing, predict_map
from voxloom.training.job import Measured
from voxloom.training.sampling import PatchSource

#: Columns of ``log.csv`` that are measured on demand: mean distances in mm.
DISTANCES = ("val_hd", "val_hd95")
#: Probabilities of a case (1 GiB with what the loss needs beside) beyond which the loss is computed only where it decides.
LARGEST_LOSS = 1 << 26


@dataclass(frozen=True)
class Validator:
    """Predicts cases and scores them.

    Parameters
    ----------
    cases : prepared validation cases.
    labels : which inner indices make up which label.
    windowing : of the prediction, on the device where the network lives.
    loss : computed from the probabilities of whole cases where it is given.
    largest : cases with more probabilities than this have no loss; None computes all.
    distances : whether the Hausdorff distances are measured too.
    """

    cases: Sequence[PatchSource]
    labels: Labels
    windowing: Windowing
    loss: nn.Module | None = None
    largest: int | None = None
    distances: bool = False

    def dice(self, network: nn.Module) -> NDArray[np.float64]:
        """Mean Dice per label over the cases, shape (labels,); a label absent in truth and prediction counts as 1."""
        return np.array(self.scores(network).scores)

    def scores(self, network: nn.Module) -> Measured:
        """Mean Dice per label over the cases, the mean loss (not a number where none is given), and the mean distances.

        Distances (mm on the prepared grid) are means over labels and cases, infinite as soon as one mask is empty.
        """
        was_training = network.training
        network.eval()
        found = [self._case(network, case) for case in self.cases]
        network.train(was_training)
        dice = np.array([case.scores for case in found]).mean(axis=0)
        losses = [case.loss for case in found if not math.isnan(case.loss)]
        further = {
            n: float(np.mean([case.further[n] for case in found])) for n in (DISTANCES if self.distances else ())
        }
        return Measured(dice.tolist(), float(np.mean(losses)) if losses else math.nan, further)

    def _case(self, network: nn.Module, case: PatchSource) -> Measured:
        truth = case.label()
        assert truth is not None
        probabilities = predict_map(network, case.image(), self.windowing)
        dice = label_dice(probabilities, truth, self.labels)
        small = self.largest is None or probabilities.size <= self.largest
        loss = self._loss(probabilities, truth) if self.loss is not None and small else math.nan
        far = label_distances(probabilities, truth, self.labels, case.spacing) if self.distances else {}
        return Measured(dice, loss, far)

    def _loss(self, probabilities: NDArray[np.floating], truth: NDArray[np.integer]) -> float:
        """The loss of logits that give these probabilities, on the network's device."""
        assert self.loss is not None
        p = (
            torch.from_numpy(np.asarray(probabilities, dtype=np.float32))
            .to(self.windowing.device)
            .clamp(1e-5, 1 - 1e-5)
        )
        logits = torch.logit(p) if self.labels.has_regions else p.log()
        label = torch.from_numpy(truth.astype(np.int64)).to(self.windowing.device)
        return float(self.loss(logits[None], label[None]))


def label_dice(probabilities: NDArray[np.floating], truth: NDArray[np.integer], labels: Labels) -> list[float]:
    """Dice per label.

    Parameters
    ----------
    probabilities : (L, I, J, K); L = one per label for regions, background first otherwise.
    truth : inner label (I, J, K); voxels of the ignore index count nowhere.
    """
    return [dice_score(found, true) for found, true in label_masks(probabilities, truth, labels)]


def label_distances(
    probabilities: NDArray[np.floating], truth: NDArray[np.integer], labels: Labels, spacing: tuple[float, float, float]
) -> dict[str, float]:
    """Hausdorff distance and its 95th percentile in mm, means over labels; 0 where both masks are empty, infinite where one is."""
    hd, hd95 = [], []
    for found, true in label_masks(probabilities, truth, labels):
        if found.any() and true.any():
            distances = surface_distances(found, true, spacing)
            hd.append(distances.hd)
            hd95.append(distances.hd_percentile(95))
        else:
            far = math.inf if found.any() or true.any() else 0.0
            hd.append(far)
            hd95.append(far)
    return dict(zip(DISTANCES, (float(np.mean(hd)), float(np.mean(hd95))), strict=True))


def label_masks(
    probabilities: NDArray[np.floating], truth: NDArray[np.integer], labels: Labels
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Predicted and true mask (I, J, K) of every label, one after the other; parameters as of ``label_dice``."""
    membership = labels.membership()
    valid = truth != labels.ignore_index if labels.ignore_index is not None else np.ones(truth.shape, dtype=bool)
    index = np.where(valid, truth, 0)
    winner = None if labels.has_regions else probabilities.argmax(axis=0)
    for n in range(labels.count):
        found = probabilities[n] > 0.5 if winner is None else winner == n + 1
        yield found & valid, membership[n][index] & valid
