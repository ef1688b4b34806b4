"""Masks among the images: a channel that equals the label map, or follows from it, has the answer in it.

Knows arrays only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def follows_label(channel: NDArray[Any], label: NDArray[Any]) -> bool:
    """Whether a channel (I, J, K) has one value wherever the label map (I, J, K) has one, and more than one in all."""
    values = np.unique(label)
    if len(values) < 2 or len(values) > 1000:
        return False
    found = set()
    for value in values:
        here = channel[label == value]
        if here[0] != here[-1] or here.min() != here.max():
            return False
        found.add(float(here[0]))
    return len(found) > 1
