"""``predict`` for landmark runs: the points of new scans, as CSV or markups of 3D Slicer.

Knows ``model.json`` and ``calibration.json`` of a run. The arithmetic is in ``voxloom.training.landmarks.reading``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from voxloom.errors import VoxloomError
from voxloom.evaluation.point_tests import Calibration
from voxloom.landmarks import LandmarkSettings, Layout, abstained
from voxloom.networks import NetworkSettings
from voxloom.points import Point, write_points
from voxloom.prepare import PrepareSettings, prepare_image
from voxloom.progress import Progress
from voxloom.study.run import Run
from voxloom.study.scans import Scan, read_channels, read_scan, refuse_channels
from voxloom.training.landmarks.fit import build_landmark_network
from voxloom.training.landmarks.reading import predict_maps, read_points
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
    calibration : from raw confidences to chances.
    may_lack : whether the networks learned to do without a channel.
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
    calibration: Calibration
    may_lack: bool = False

    @classmethod
    def of(cls, run: Run, *, device: str = "auto") -> LandmarkPredictor:
        """Load all trained folds of a run and its calibration."""
        path = run.folder / CALIBRATION
        learned = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        calibration = Calibration(learned.get("slope", 1.0), learned.get("offset", 0.0))
        return cls.from_folds(run.folds, device=device, calibration=calibration)

    @classmethod
    def from_folds(
        cls, folders: Sequence[Path], *, device: str = "auto", calibration: Calibration | None = None
    ) -> LandmarkPredictor:
        """Load folds from their folders."""
        from voxloom.study.train import pick_device

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
            calibration=calibration or Calibration(),
            may_lack=all(described.get("channel_dropout", 0) > 0 for _, described in loaded),
        )

    def predict(
        self, source: str | Path | Volume | Sequence[Path], *, resample_tilt: bool = False
    ) -> tuple[Point, ...]:
        """Points of one scan in RAS mm, from head to feet, with calibrated confidences; unsure ones are left out.

        Parameters and errors as of ``raw_points``.
        """
        return self.judged(self.raw_points(source, resample_tilt=resample_tilt)).kept

    def with_abstain(self, least: float | None) -> LandmarkPredictor:
        """The same networks that leave out points of less confidence than ``least``; None keeps the recipe's threshold."""
        if least is None:
            return self
        return replace(self, settings=self.settings.model_copy(update={"abstain": least}))

    def judged(self, points: Iterable[Point]) -> Judged:
        """Raw points with calibrated confidences, those that are sure enough apart from the others (``landmarks.abstain``)."""
        sure = [replace(p, confidence=self.calibration(p.confidence or 0.0)) for p in points]
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
        volume = source if isinstance(source, Volume) else read_channels(source, resample_tilt)
        refuse_channels(volume, self.channels, self.may_lack)
        image, geometry = prepare_image(volume, self.prepare)
        maps = predict_maps(
            self.networks,
            image,
            self.settings,
            patch=self.patch,
            overlap=self.inference.overlap,
            batch=self.inference.batch,
            device=self.device,
            precision=self.precision,
        )
        return read_points(maps, geometry.affine, self.layout, self.settings)


def predict_point_scans(
    predictor: LandmarkPredictor,
    scans: Sequence[Scan],
    out: Path,
    *,
    ending: str = ".csv",
    resample_tilt: bool = False,
    progress: Progress | None = None,
    failed: Callable[[Scan, VoxloomError], None] | None = None,
    left_out: Callable[[Scan, tuple[Point, ...]], None] = lambda scan, points: None,
) -> Iterator[Path]:
    """Predict scans one by one into ``out``; yields the files written. See ``voxloom.study.predict.predict_scans``.

    ``left_out`` is told of the points of a scan that were not sure enough.
    """
    for number, scan in enumerate(scans):
        try:
            judged = predictor.judged(predictor.raw_points(read_scan(scan, resample_tilt), resample_tilt=resample_tilt))
            if judged.left_out:
                left_out(scan, judged.left_out)
            yield write_points(judged.kept, out / f"{scan.name}{ending}", scan.name)
        except VoxloomError as error:
            if failed is None:
                raise
            failed(scan, error)
        if progress is not None:
            progress(number + 1, len(scans))
