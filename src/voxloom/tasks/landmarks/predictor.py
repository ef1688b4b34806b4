"""``predict`` for landmark runs: the points of new scans, as CSV or markups of 3D Slicer.

Knows ``model.json`` and ``calibration.json`` of a run. The arithmetic is in ``voxloom.tasks.landmarks.reading``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from voxloom.evaluation.point_tests import Calibration
from voxloom.inference.device import pick_device
from voxloom.inference.windowing import Windowing
from voxloom.landmarks import LandmarkSettings, Layout, abstained
from voxloom.networks import NetworkSettings
from voxloom.points import Point
from voxloom.prepare import PrepareSettings, prepare_image
from voxloom.run.run import Run
from voxloom.run.scan_check import TrainedOn
from voxloom.run.scans import admit, read_channels
from voxloom.runfiles import folders_of
from voxloom.tasks.landmarks.reading import predict_maps, read_points, windowing_of
from voxloom.tasks.landmarks.training import build_landmark_network
from voxloom.training.settings import InferenceSettings
from voxloom.training.weights import load_weights
from voxloom.volume import Volume

CALIBRATION = "calibration.json"


@dataclass(frozen=True)
class Judged:
    """Points with calibrated confidences: those that are sure enough, and those that are left out."""

    kept: tuple[Point, ...]
    left_out: tuple[Point, ...]


@dataclass(frozen=True)
class LandmarkPredictor:
    """The networks of a landmark run, ready to predict.

    Parameters
    ----------
    networks : the folds; their maps are averaged.
    settings, layout, prepare, inference, channels, patch, precision : as in ``model.json``.
    device : where the networks live.
    calibration : from raw confidences to chances; None leaves them.
    may_lack : whether the networks learned to do without a channel.
    trained_on : what the training cases were like; scans that differ are told.
    """

    networks: tuple[nn.Module, ...]
    settings: LandmarkSettings
    layout: Layout
    prepare: PrepareSettings
    inference: InferenceSettings
    channels: tuple[str, ...]
    patch: tuple[int, int, int]
    precision: str
    device: torch.device
    calibration: Calibration | None
    may_lack: bool = False
    trained_on: TrainedOn | None = None

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The torch modules, one per fold."""
        return self.networks

    @classmethod
    def of(cls, run: Run, *, device: str = "auto") -> LandmarkPredictor:
        """Load all trained folds of a run and its calibration."""
        path = run.folder / CALIBRATION
        learned = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        calibration = Calibration(learned["slope"], learned["offset"]) if learned else None
        found = cls.from_folds(folders_of(run.folds), device=device, calibration=calibration)
        return replace(found, trained_on=TrainedOn.of(run.data))

    @classmethod
    def from_folds(
        cls, folders: Sequence[Path], *, device: str = "auto", calibration: Calibration | None = None
    ) -> LandmarkPredictor:
        """Load folds from their folders."""
        place = torch.device(pick_device(device))
        loaded = [load_weights(folder) for folder in folders]
        about = loaded[0][1]
        settings, layout = LandmarkSettings.model_validate(about["landmarks"]), Layout.from_dict(about["layout"])
        unet = NetworkSettings.model_validate(about["network"]) if about["network"] else None
        networks = []
        for weights, _ in loaded:
            network = build_landmark_network(settings, unet, len(about["channels"]), layout.count)
            network.load_state_dict(weights)
            networks.append(network.to(place).to(memory_format=torch.channels_last_3d).eval())  # type: ignore[call-overload]
        i, j, k = about["patch"]
        return cls(
            networks=tuple(networks),
            settings=settings,
            layout=layout,
            prepare=PrepareSettings.model_validate(about["prepare"]),
            inference=InferenceSettings.model_validate(about["inference"]),
            channels=tuple(about["channels"]),
            patch=(i, j, k),
            precision=about["precision"],
            device=place,
            calibration=calibration,
            may_lack=all(described.get("channel_dropout", 0) > 0 for _, described in loaded),
        )

    def predict(
        self, source: str | Path | Volume | Sequence[Path], *, resample_tilt: bool = False
    ) -> tuple[Point, ...]:
        """Points of one scan in RAS mm, from head to feet, with calibrated confidences; unsure ones are left out.

        Parameters and errors as of ``raw_points``.
        """
        return self.judged(self.raw_points(source, resample_tilt=resample_tilt)).kept

    @property
    def calibrated(self) -> bool:
        """Whether confidences are chances that the run learned on held-out cases."""
        return self.calibration is not None

    def with_abstain(self, least: float | None) -> LandmarkPredictor:
        """The same networks that leave out points of less confidence than ``least``; None keeps the recipe's threshold."""
        if least is None:
            return self
        return replace(self, settings=self.settings.model_copy(update={"abstain": least}))

    def judged(self, points: Iterable[Point]) -> Judged:
        """Raw points with calibrated confidences, those that are sure enough apart from the others (``landmarks.abstain``)."""
        calibrated = self.calibration or Calibration()
        sure = [replace(p, confidence=calibrated(p.confidence or 0.0)) for p in points]
        kept = abstained(sure, self.settings.abstain)
        return Judged(kept, tuple(point for point in sure if point not in kept))

    def raw_points(
        self, source: str | Path | Volume | Sequence[Path], *, resample_tilt: bool = False
    ) -> tuple[Point, ...]:
        """All points of one scan in RAS mm, from head to feet, with the networks' own confidences.

        Parameters
        ----------
        source : a volume with the run's channels, a file, a DICOM folder, or one file per channel.
        resample_tilt : read a CT with gantry tilt or uneven slices onto an upright grid instead of refusing it.
        """
        maps, affine = self.maps(source, resample_tilt=resample_tilt)
        return read_points(maps, affine, self.layout, self.settings)

    def maps(
        self, source: str | Path | Volume | Sequence[Path], *, resample_tilt: bool = False
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Mean probability maps (M, I, J, K) of one scan on its prepared grid, and the affine (4, 4) of that grid to RAS mm.

        Parameters and errors as of ``raw_points``.
        """
        volume = source if isinstance(source, Volume) else read_channels(source, resample_tilt)
        admit(volume, self.channels, self.may_lack, self.trained_on)
        image, geometry = prepare_image(volume, self.prepare)
        return predict_maps(self.networks, image, self.settings, self.windowing), geometry.affine

    @property
    def windowing(self) -> Windowing:
        """How the networks go over a prepared scan."""
        return windowing_of(self.settings, self.patch, self.inference, self.precision, self.device)
