"""What a scan looks like to a run's first network. Knows the networks of a run; compares nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from voxloom.inference.embedding import deepest_features, image_features
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.volume import Volume


def scan_features(predictor: Predictor, volume: Volume) -> NDArray[np.float32]:
    """Mean over windows of the first network's deepest features; percentiles of the image where it has none."""
    member = predictor.members[0]
    inference = predictor.inference.model_copy(update={"mirror": ()})
    alone = replace(predictor, members=(member,), inference=inference)
    with alone.views(volume) as (view,), deepest_features(member.network) as seen:
        for _ in alone.slabs(view):
            pass
        found: NDArray[np.float32] = np.mean(seen, axis=0) if seen else image_features(view.image)
    return found
