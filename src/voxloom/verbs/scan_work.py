"""Scans through the networks of a run: each read, predicted and written, one by one here or spread over a crew.

Knows what is written of one scan. How that is done is its task's; which scans there are is said by ``predict`` and others.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.crew import map_with
from voxloom.dataset import Labels
from voxloom.errors import VoxloomError
from voxloom.formats import PICTURE_ENDINGS, write_volume
from voxloom.inference.embedding import mean_row
from voxloom.inference.needs import needs_of
from voxloom.notes import tell
from voxloom.progress import Progress
from voxloom.report.overlay import overlay
from voxloom.run.features import KnownFeatures
from voxloom.run.scans import Scan, read_scan, resampled_channels
from voxloom.tasks.task import Task
from voxloom.tasks.values import Extras, Features, Predictor
from voxloom.verbs.dicom_results import DicomWriter
from voxloom.volume import Volume

NOTHING_MORE = Extras()
#: Folder of the pictures with their label maps in color.
OVERLAYS = "overlays"
#: Entries of the JSON result: scan -> distance, rarer, held_out; scan -> channel -> how it was brought onto the grid.
FEATURES, RESAMPLED = "features", "resampled"


@dataclass(frozen=True)
class Answered:
    """What became of one scan.

    Parameters
    ----------
    path : of the prediction.
    seconds : from the scan's voxels to its prediction.
    remarks : what is remarkable of it (``Task.remarks``).
    beside, dicom : further files that were written.
    """

    path: Path
    seconds: float
    remarks: tuple[str | None, dict[str, Any]]
    beside: tuple[Path, ...] = ()
    dicom: tuple[Path, ...] = ()


@dataclass(frozen=True)
class ScanWork:
    """How each of many scans is predicted and written, here or on another machine.

    Parameters
    ----------
    out : folder of the files.
    endings : format by the scan's name; None takes the task's choice.
    resample_tilt : see ``PredictOptions``.
    around : file with the mask or point that is looked around, by the scan's name.
    wanted : beside the prediction.
    writer : of DICOM results; None for none.
    known : what the cases of the run look like to its network; None compares no scan with them.
    member : of an ensemble, the number of the member whose first network that is.
    overlays : write the picture with its label map in color too, into ``overlays``, where the label map is a picture.
    """

    task: Task
    out: Path
    endings: Mapping[str, str] | None = None
    resample_tilt: bool = False
    around: Mapping[str, Path] = field(default_factory=dict)
    wanted: Extras = NOTHING_MORE
    writer: DicomWriter | None = None
    known: KnownFeatures | None = None
    member: int | None = None
    overlays: bool = False

    def predict(self, predictor: Predictor, scan: Scan) -> Answered:
        """Read, predict and write one scan (VoxloomError where that cannot be done)."""
        task = self.task
        with _memory_named(scan):
            volume = read_scan(scan, self.resample_tilt)
            resampled = resampled_channels(volume, predictor.channels)
            if scan.name in self.around:
                volume = task.focus(predictor, volume, self.around[scan.name])
            features = self._features(predictor)
            start = time.perf_counter()
            with contextlib.nullcontext([]) if features is None else features.watch() as seen:
                prediction = task.predict(predictor, volume)
            seconds = time.perf_counter() - start
            ending = self.endings[scan.name] if self.endings is not None else task.ending_of(scan, None)
            path = task.write(prediction, self.out, scan.name, ending)
            beside, dicom = self._beside(predictor, volume, prediction, scan, resampled)
            beside += self._overlay(predictor, volume, prediction, path)
            line, entries = task.remarks(prediction)
            told = {RESAMPLED: resampled} if resampled else {}
            found = {**entries, **told, **self._compared(features, volume, scan, seen)}
            return Answered(path, seconds, (line, found), beside, dicom)

    def _features(self, predictor: Any) -> Features | None:
        if self.known is None:
            return None
        return self.task.features(predictor if self.member is None else predictor.members[self.member])

    def _compared(
        self, features: Features | None, volume: Volume, scan: Scan, seen: list[NDArray[np.float32]]
    ) -> dict[str, Any]:
        """Where the scan lies beside the cases of the run, for the JSON result; told where few cases lie so far.

        Changed views (``--tta``) do not show it as it is, so that it is then looked at once more by the one network.
        """
        if self.known is None or features is None:
            return {}
        row = mean_row(seen)
        place = self.known.place(features.of_scan(volume) if row is None else row)
        if sentence := place.sentence():
            tell(volume.meta.get("source", scan.name), sentence, warning=True)
        return {FEATURES: vars(place)}

    def _overlay(self, predictor: Predictor, volume: Volume, prediction: Any, path: Path) -> tuple[Path, ...]:
        """The picture with its label map in color; nothing for another kind of result."""
        labels = getattr(predictor, "labels", None)
        is_picture = path.suffix.lower() in PICTURE_ENDINGS and isinstance(prediction, Volume)
        if not (self.overlays and is_picture and isinstance(labels, Labels)):
            return ()
        place = self.out / OVERLAYS / f"{path.stem}.png"
        return (write_volume(overlay(volume, prediction, labels), place),)

    def _beside(
        self, predictor: Predictor, volume: Volume, prediction: Any, scan: Scan, resampled: Mapping[str, str]
    ) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        """The extras and the DICOM results of one prediction."""
        task, beside, dicom = self.task, list[Path](), list[Path]()
        if self.wanted:
            beside = task.extras(predictor, volume, prediction, self.out, scan.name, self.wanted)
        if self.writer is not None and self.writer.formats:
            found = task.findings(predictor, volume, prediction, "seg-fractional" in self.writer.formats)
            dicom = self.writer.write(found, volume, scan, self.out, resampled)
        return tuple(beside), tuple(dicom)


def predict_scans(
    work: ScanWork,
    predictor: Predictor,
    scans: Sequence[Scan],
    *,
    progress: Progress | None = None,
    failed: Callable[[Scan, VoxloomError], None] | None = None,
    answered: Callable[[Scan, Answered], None] = lambda scan, answer: None,
) -> Iterator[tuple[str, Path]]:
    """Predict scans, one by one here or spread over the crew at hand; yields name and file of each, in their order.

    Parameters
    ----------
    failed : told of a scan that could not be predicted, so that the others go on; None lets the error through.
    answered : told of every other scan.
    """
    items = [(scan.name, scan) for scan in scans]
    each = map_with(
        predictor, work.predict, items, step="predicting", needs=partial(needs_of, predictor), progress=progress
    )
    for scan, (name, outcome) in zip(scans, each, strict=True):
        if not isinstance(outcome, VoxloomError):
            answered(scan, outcome)
            yield name, outcome.path
        elif failed is not None:
            failed(scan, outcome)
        else:
            raise outcome


@contextlib.contextmanager
def _memory_named(scan: Scan) -> Iterator[None]:
    """Turn a lack of memory into an error that names the scan, so that the others go on."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
            raise
        raise VoxloomError(f"{scan.name}: predicting it needs more memory than there is") from error
