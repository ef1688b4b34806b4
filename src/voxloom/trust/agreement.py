"""How sure the networks of a run are of a scan, without any truth: how far they agree, and the Dice that they expect.

Knows one predictor and one scan. Draws no conclusion; ``pseudo`` does.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset import Labels
from voxloom.evaluation import dice_score
from voxloom.inference.postprocess import keep_largest
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.volume import Volume


@dataclass(frozen=True)
class Confidence:
    """What the networks together say of one scan.

    Parameters
    ----------
    prediction : label map of all networks together, as ``voxloom predict`` gives it, (1, I, J, K).
    agreement : per label, the mean Dice between every two networks; 1 where none finds the label.
    expected : per label that the prediction holds, the Dice that the mean probabilities p lead to expect of its mask m:
        2 * sum of p inside m / (voxels of m + sum of p).
    """

    prediction: Volume
    agreement: dict[str, float]
    expected: dict[str, float]


def confidence_of(predictor: Predictor, volume: Volume) -> Confidence:
    """Predict a scan with all networks together and with each alone.

    Probabilities lie on disk meanwhile; memory holds one label map per network.
    """
    prediction = predictor.predict(volume)
    labels, count = predictor.labels, len(predictor.members)
    with tempfile.TemporaryDirectory(prefix="voxloom") as folder:
        shape = (predictor.maps, *volume.shape)
        held = np.lib.format.open_memmap(f"{folder}/one.npy", "w+", np.float16, shape)
        mean = np.lib.format.open_memmap(f"{folder}/mean.npy", "w+", np.float32, shape)
        alone = []
        for member in predictor.members:
            replace(predictor, members=(member,)).probabilities(volume, held)
            for total, values in zip(mean, held, strict=True):
                total += values.astype(np.float32) / count
            alone.append(masks_of(held, labels, predictor.largest))
        found = dict(labels.masks(prediction.data[0]))
        first = 0 if labels.has_regions else 1
        expected = {
            name: expected_dice(mean[first + n], found[name])
            for n, name in enumerate(labels.names)
            if found[name].any()
        }
    return Confidence(prediction, {name: pairwise_dice([m[name] for m in alone]) for name in labels.names}, expected)


def masks_of(
    probabilities: NDArray[np.floating[Any]], labels: Labels, largest: Sequence[str]
) -> dict[str, NDArray[np.bool_]]:
    """Mask (I, J, K) per label of probability maps (L, I, J, K), of some labels only the largest component."""
    if labels.has_regions:
        return {name: probabilities[n] > 0.5 for n, name in enumerate(labels.names)}
    best = np.zeros(probabilities.shape[1:], np.uint16)
    highest = np.array(probabilities[0])
    for n, values in enumerate(probabilities[1:], start=1):
        better = values > highest
        best[better], highest[better] = n, values[better]
    return dict(labels.masks(keep_largest(labels.decode(best), labels, largest)))


def pairwise_dice(masks: Sequence[NDArray[np.bool_]]) -> float:
    """Mean Dice over every two masks."""
    return float(np.mean([dice_score(one, other) for one, other in combinations(masks, 2)]))


def expected_dice(probability: NDArray[np.floating[Any]], mask: NDArray[np.bool_]) -> float:
    """Dice that independent voxels of these probabilities would give with the mask, as a ratio of expectations."""
    inside = float(probability[mask].sum(dtype=np.float64))
    whole = float(probability.sum(dtype=np.float64))
    return 2 * inside / (float(np.count_nonzero(mask)) + whole)
