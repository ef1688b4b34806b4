"""How the answers of members become one: majority of label maps, mean of probabilities.

Knows arrays. Background comes first in probabilities, unless labels are regions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset import Labels
from voxloom.inference.labels import decide


def vote(maps: Sequence[NDArray[Any]], labels: Labels) -> NDArray[Any]:
    """Pixel-wise majority of label maps.

    Parameters
    ----------
    maps : outer label values (I, J, K) of every voter.

    Returns
    -------
    Outer label values (I, J, K). The label with most votes wins; of equally many the one that comes first, the background
    first of all. With regions every region needs more than half of the votes.
    """
    if labels.has_regions:
        share = (_mean(found[name] for found in map(dict, map(labels.masks, maps))) for name in labels.names)
        return labels.decode(decide(share, labels))
    inner = [labels.encode(found) for found in maps]
    share = (_mean(found == index for found in inner) for index in range(len(labels.atoms) + 1))
    return labels.decode(decide(share, labels))


def _mean(masks: Iterable[NDArray[np.bool_]]) -> NDArray[np.float32]:
    listed = list(masks)
    return np.asarray(np.mean(listed, axis=0, dtype=np.float32))
