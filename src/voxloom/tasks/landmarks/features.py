"""What scans look like to the first U-Net of a landmark run: its deepest features. Knows the networks of a run; compares nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxloom.inference.embedding import deepest_features, features_of_windows, image_features, mean_row
from voxloom.prepare import prepare_image
from voxloom.tasks.landmarks.predictor import LandmarkPredictor
from voxloom.tasks.landmarks.reading import predict_maps
from voxloom.tasks.study import Study, prepared_cases
from voxloom.volume import Volume


@dataclass(frozen=True)
class PointFeatures:
    """See :class:`voxloom.tasks.values.Features`; the mean over the windows of a scan."""

    predictor: LandmarkPredictor
    of_whole_scans = True

    def of_scan(self, volume: Volume) -> NDArray[np.float32]:
        """Percentiles of the image where the network has no features."""
        p = self.predictor
        image, _ = prepare_image(volume, p.prepare)
        with self.watch() as seen:
            predict_maps(p.networks[:1], image, p.settings, p.windowing)
        found = mean_row(seen)
        return image_features(image) if found is None else found

    @contextlib.contextmanager
    def watch(self) -> Iterator[list[NDArray[np.float32]]]:
        """Looks at every window of the first network."""
        with deepest_features(self.predictor.networks[0]) as seen:
            yield seen

    def of_training(self, study: Study, names: Sequence[str], windows: int) -> dict[str, NDArray[np.float32]]:
        """By the prepared cases; the network runs no further than to its features."""
        p, cases = self.predictor, prepared_cases(study, names, None)
        found = {
            name: features_of_windows(p.networks[0], case.image(), p.windowing, windows) for name, case in cases.items()
        }
        return {name: row for name, row in found.items() if row is not None}
