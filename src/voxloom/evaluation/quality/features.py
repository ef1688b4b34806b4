"""The features that Dice is predicted from: how far members disagree, and whether the label map looks as label maps do.

Knows one label map and the figures of a disagreement. Does not know the truth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset.inspect.components import count_components
from voxloom.dataset.labels import Labels

#: Of the disagreement: logits of what lies between 0 and 1 (see ``Disagreement.figures``).
DISAGREEMENT = ("pairwise_dice", "least_pairwise_dice", "entropy", "mutual_information", "spread")
#: Of the label map: means over labels but for the last, the share of labels that are absent.
SHAPE = ("volume", "volume_oddness", "components", "absent")
FEATURES = (*DISAGREEMENT, *SHAPE)

_EDGE = 1e-4
_MOST = 5.0


def prediction_features(
    outer: NDArray[Any],
    labels: Labels,
    voxel_ml: float,
    disagreement: Mapping[str, float],
    usual_ml: Mapping[str, float],
) -> dict[str, float]:
    """Features of one prediction, all finite.

    Parameters
    ----------
    outer : predicted label map (I, J, K) of outer values.
    voxel_ml : volume of a voxel in ml.
    disagreement : figures of the members' disagreement.
    usual_ml : median volume of each label in the training cases; a label that is not named counts as usual.

    Returns
    -------
    The figures of ``DISAGREEMENT`` as logits; natural logarithms of volume and number of components, mean over the labels
    present; ``volume_oddness``, the mean distance of log volume from the usual, at most 5 (absent labels count as 5 where they
    are usual); ``absent``.
    """
    volumes = {name: float(np.count_nonzero(mask)) * voxel_ml for name, mask in labels.masks(outer)}
    pieces = count_components(outer, labels)
    present = [name for name, ml in volumes.items() if ml > 0]
    oddness = [_oddness(volumes[name], usual_ml.get(name, 0.0)) for name in labels.names]
    return {
        **{name: logit(disagreement[name]) for name in DISAGREEMENT},
        "volume": _mean([math.log(volumes[name]) for name in present]),
        "volume_oddness": _mean(oddness),
        "components": _mean([math.log(max(1, pieces[name])) for name in present]),
        "absent": 1 - len(present) / max(1, len(labels.names)),
    }


def logit(share: float, edge: float = _EDGE) -> float:
    """Log odds of a share, held ``edge`` away from 0 and 1."""
    inside = min(max(share, edge), 1 - edge)
    return math.log(inside / (1 - inside))


def _oddness(ml: float, usual: float) -> float:
    if usual <= 0:
        return 0.0
    return min(_MOST, abs(math.log(ml / usual))) if ml > 0 else _MOST


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0
