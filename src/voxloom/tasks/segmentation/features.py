"""What scans look like to a run's first network: its deepest features. Knows the networks of a run; compares nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voxloom.inference.embedding import deepest_features, features_of_windows, image_features, mean_row
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.tasks.study import Study, prepared_cases
from voxloom.volume import Volume


def scan_features(predictor: Predictor, volume: Volume) -> NDArray[np.float32]:
    """Mean over windows of the first network's deepest features; percentiles of the image where it has none."""
    member = predictor.members[0]
    inference = predictor.inference.model_copy(update={"mirror": ()})
    alone = replace(predictor, members=(member,), inference=inference, looks=())
    with alone.views(volume) as (view,), deepest_features(member.network) as seen:
        for _ in alone.slabs(view):
            pass
        found = mean_row(seen)
        return image_features(view.image) if found is None else found


@dataclass(frozen=True)
class NetworkFeatures:
    """See :class:`voxloom.tasks.values.Features`; the mean over the windows of a scan."""

    predictor: Predictor
    of_whole_scans = True

    def of_scan(self, volume: Volume) -> NDArray[np.float32]:
        """See ``scan_features``."""
        return scan_features(self.predictor, volume)

    @contextlib.contextmanager
    def watch(self) -> Iterator[list[NDArray[np.float32]]]:
        """Looks at the windows, not at their mirror images; nothing is seen of a scan that is predicted by changed views."""
        if self.predictor.looks:
            yield []
            return
        with deepest_features(self.predictor.members[0].network, 2 ** len(self.predictor.inference.mirror)) as seen:
            yield seen

    def of_training(self, study: Study, names: Sequence[str], windows: int) -> dict[str, NDArray[np.float32]]:
        """By the prepared cases; the network runs no further than to its features."""
        member = self.predictor.members[0]
        cases = prepared_cases(study, names, member.statistics)
        found = {
            name: features_of_windows(member.network, case.image(), self.predictor.windowing, windows)
            for name, case in cases.items()
        }
        return {name: row for name, row in found.items() if row is not None}
