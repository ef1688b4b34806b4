"""What scans look like to the first network of a run with one answer per case. Knows its networks; compares nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from voxloom.inference.embedding import deepest_features, features_of_passes, image_features
from voxloom.inference.views import Member
from voxloom.prepare import prepare_image
from voxloom.tasks.study import Study, prepared_cases
from voxloom.tasks.whole_case.crop import refuse_whole
from voxloom.tasks.whole_case.predictor import CasePredictor
from voxloom.tasks.whole_case.training import answer
from voxloom.training.windows import ImageSource, InMemory
from voxloom.volume import Volume


@dataclass(frozen=True)
class CaseFeatures:
    """See :class:`voxloom.tasks.values.Features`; of the middle of a scan, or of its crop, which is what the networks see."""

    networks: CasePredictor

    @property
    def of_whole_scans(self) -> bool:
        """Not where a crop is looked at."""
        return self.networks.crop is None

    def of_scan(self, volume: Volume) -> NDArray[np.float32]:
        """Percentiles of the image where the network has no features (BadInput for a whole scan where a crop is looked at)."""
        refuse_whole(volume, self.networks.crop)
        image, _ = prepare_image(volume, self.networks.prepare, self._first.statistics)
        found = self._of(InMemory(np.asarray(image, np.float32)))
        return image_features(image) if found is None else found

    @contextlib.contextmanager
    def watch(self) -> Iterator[list[NDArray[np.float32]]]:
        """Looks at the scan as it is, not at the changed views that follow it."""
        with deepest_features(self._first.network, 1 + self.networks.views) as seen:
            yield seen

    def of_training(self, study: Study, names: Sequence[str], windows: int) -> dict[str, NDArray[np.float32]]:
        """By one look at each prepared case, as the network takes it; it runs no further than to its features."""
        cases = prepared_cases(study, names, self._first.statistics)
        found = {name: self._of(case) for name, case in cases.items()}
        return {name: row for name, row in found.items() if row is not None}

    @property
    def _first(self) -> Member:
        return self.networks.members[0]

    def _of(self, source: ImageSource) -> NDArray[np.float32] | None:
        n, seen = self.networks, self.networks.middle(source)
        numbers = torch.zeros(1, len(n.covariates), device=n.device)  # joined behind the features
        once = partial(answer, self._first.network, seen, numbers, n.network.dims, n.training)
        return features_of_passes(self._first.network, [once])
