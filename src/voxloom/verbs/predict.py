"""``predict``: apply a run, or an ensemble, to new scans. One place for the command line, Python and services.

Knows the order of things: which scans there are, what may be written, predictions one by one, then what is measured beside them.
How a scan is predicted and written is its task's. A service opens the networks once (``open_predictor``) and predicts with them
often (``predict_with``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from voxloom.dataset.names import split_ending
from voxloom.dataset.tables import name_some
from voxloom.ensemble import EnsemblePredictor
from voxloom.errors import BadInput, VoxloomError
from voxloom.run.features import KnownFeatures
from voxloom.run.find_scans import find_scans
from voxloom.run.listener import SILENT, Listener
from voxloom.run.outputs import Origin, claim_outputs
from voxloom.run.run import Run
from voxloom.run.scans import Scan, read_scan
from voxloom.tasks.abilities import need
from voxloom.tasks.task import Task, task_named, task_of
from voxloom.tasks.values import Extras, Predictor
from voxloom.tasks.wish import Wish
from voxloom.trust.quality import Quality, is_calibrated, judge
from voxloom.trust.uncertainty import check_sources
from voxloom.trust.uncertainty_maps import members_of, write_uncertainties
from voxloom.verbs.dicom_results import DicomWriter, check_formats
from voxloom.verbs.first_network import known_to_ensemble
from voxloom.verbs.options import PredictOptions
from voxloom.verbs.scan_work import Answered, ScanWork, predict_scans


@dataclass(frozen=True)
class Opened:
    """Networks that are ready to predict.

    Parameters
    ----------
    folder : of the run, or of the ensemble.
    run : None for an ensemble.
    wish : they were opened with.
    known : what the run's cases look like to its network, where it keeps that.
    member : of an ensemble, the number of the member whose run and network these are.
    """

    folder: Path
    run: Run | None
    task: Task
    predictor: Predictor
    wish: Wish
    known: KnownFeatures | None = None
    member: int | None = None


@dataclass(frozen=True)
class Predictions:
    """What was predicted.

    Parameters
    ----------
    files : result by the scan's name.
    beside : other files that were written.
    failed : error by the name of a scan that could not be predicted.
    filled : channels that were missing, by the scan's name.
    quality : rows of ``quality.csv``.
    seconds : how long each scan took from its voxels to the answer, reading and writing left out.
    promise : what they promise, in words; "" where nothing was judged.
    told : what was said of the networks and of single predictions, for the JSON result.
    dicom : DICOM results, in the order of the scans and of the formats asked for.
    """

    files: dict[str, Path]
    beside: list[Path] = field(default_factory=list)
    failed: dict[str, VoxloomError] = field(default_factory=dict)
    filled: dict[str, list[str]] = field(default_factory=dict)
    quality: list[dict[str, Any]] = field(default_factory=list)
    promise: str = ""
    seconds: list[float] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    dicom: list[Path] = field(default_factory=list)

    @property
    def written(self) -> list[Path]:
        """All files."""
        return [*self.files.values(), *self.dicom, *self.beside]


def predict(
    folder: Path,
    inputs: Sequence[Path],
    out: Path,
    options: PredictOptions = PredictOptions(),
    listener: Listener = SILENT,
) -> Predictions:
    """Predict scans into ``out``.

    Parameters
    ----------
    folder : of a run, or of an ensemble.
    inputs : files, DICOM folders, or folders of files.

    Raises
    ------
    BadInput : before any work, where the run or the scans cannot be used. A scan among several that cannot be predicted does not
        stop the others: it is in ``failed``.
    """
    return predict_with(open_predictor(folder, options), inputs, out, options, listener)


def predict_with(
    opened: Opened,
    inputs: Sequence[Path],
    out: Path,
    options: PredictOptions = PredictOptions(),
    listener: Listener = SILENT,
) -> Predictions:
    """Predict scans into ``out`` with networks that are open; otherwise like ``predict``.

    Raises
    ------
    ValueError : the networks were opened with another wish than that of ``options``.
    """
    _check_opened(opened, options)
    task, predictor = opened.task, opened.predictor
    told = task.told(predictor)
    for text in (value for value in told.values() if isinstance(value, str)):
        listener.stage(text)
    scans = find_scans(inputs, len(predictor.channels), predictor.may_lack, series=options.series, tell=listener.stage)
    filled = {scan.name: [predictor.channels[n] for n in scan.missing] for scan in scans if scan.missing}
    endings = {scan.name: task.ending_of(scan, options.ending) for scan in scans}
    writer = dicom_writer(opened, options)
    writer.check(scans)
    around = around_of(options.around, scans)
    failed: dict[str, VoxloomError] = {}
    seconds: list[float] = []
    beside: list[Path] = []
    dicom: list[Path] = []

    def answered(scan: Scan, answer: Answered) -> None:
        note_remarks(told, listener, scan, answer.remarks)
        seconds.append(answer.seconds)
        beside.extend(answer.beside)
        dicom.extend(answer.dicom)

    extras = Extras(options.maps, options.cutouts)
    work = ScanWork(
        task, out, endings, options.resample_tilt, around, extras, writer, opened.known, opened.member, options.overlays
    )
    claimed = claim_outputs(out, _origins(scans, endings, writer), listener.stage)
    with claimed, listener.progress("Predicting") as progress:
        each = predict_scans(
            work,
            predictor,
            scans,
            progress=progress,
            failed=None if len(scans) == 1 else lambda scan, error: failed.update({scan.name: error}),
            answered=answered,
        )
        found = Predictions(dict(each), failed=failed, filled=filled, told=told, seconds=seconds)
    return _with_measures(opened, scans, out, replace(found, beside=beside, dicom=dicom), options, listener)


def _with_measures(
    opened: Opened,
    scans: Sequence[Scan],
    out: Path,
    found: Predictions,
    options: PredictOptions,
    listener: Listener,
) -> Predictions:
    """The same with what is measured of the predictions: figures of the task, likely Dice, maps of uncertainty."""
    run, predictor = opened.run, opened.predictor
    kept = [scan for scan in scans if scan.name in found.files]
    if run is not None:
        measured = opened.task.measure(run, predictor, list(found.files.values()), out)
        found = replace(found, beside=[*found.beside, *measured])
        if options.quality and is_calibrated(opened.folder):
            found = with_quality(run, predictor, kept, out, found, options, listener)
    if options.uncertainty is not None:
        with listener.progress("Measuring the uncertainty") as progress:
            maps = write_uncertainties(
                predictor, kept, out / "uncertainty", options.uncertainty, resample_tilt=options.resample_tilt,
                progress=progress,
            )  # fmt: skip
            found = replace(found, beside=[*found.beside, *maps])
    return found


def _check_opened(opened: Opened, options: PredictOptions) -> None:
    """Refuse options that these networks were not opened for, or do not have."""
    if opened.wish != options.wish:
        raise ValueError(f"the networks were opened with {opened.wish}, not {options.wish}")
    check_options(opened.folder, opened.run, options)
    if options.uncertainty is not None:
        check_sources(members_of(opened.predictor), options.uncertainty)


def _origins(scans: Sequence[Scan], endings: Mapping[str, str], writer: DicomWriter) -> dict[str, Origin]:
    """The scan of every file that will be written."""
    return {
        name: Origin(scan.source[0], scan.files, scan.series)
        for scan in scans
        for name in (f"{scan.name}{endings[scan.name]}", *writer.names(scan))
    }


def note_remarks(
    told: dict[str, Any], listener: Listener, scan: Scan, remarks: tuple[str | None, dict[str, Any]]
) -> None:
    """Say what is remarkable of one prediction, and keep it for the JSON result."""
    line, entries = remarks
    if line is not None:
        listener.stage(f"{scan.name}: {line}")
    for key, value in entries.items():
        told.setdefault(key, {})[scan.name] = value


def open_predictor(folder: Path, options: PredictOptions = PredictOptions()) -> Opened:
    """The networks of a run, or of an ensemble of runs.

    Raises
    ------
    BadInput : the folder is neither, or its task cannot do what the options ask for.
    """
    run = None if (folder / "ensemble.json").is_file() else Run(folder)
    check_options(folder, run, options)
    wish = options.wish
    if run is None:
        ensemble = EnsemblePredictor.of(folder, device=wish.device)
        return Opened(folder, None, task_named("segmentation"), ensemble, wish, *known_to_ensemble(folder))
    task = task_of(run)
    return Opened(folder, run, task, task.open(run, wish), wish, KnownFeatures.of(run.folds[0], run.patients))


def dicom_writer(opened: Opened, options: PredictOptions) -> DicomWriter:
    """What writes the DICOM results that the options ask for."""
    return DicomWriter.of(opened.folder, opened.run, options.formats, options.labels, options.resample_tilt)


def check_options(folder: Path, run: Run | None, options: PredictOptions) -> None:
    """Refuse what an ensemble, or the task of a run, cannot do."""
    check_formats(folder, run, options.formats)
    if run is None:
        if options.maps or options.cutouts is not None:
            raise BadInput("--maps and --cutouts are for runs", folder, "Predict with a member of the ensemble")
        if options.tta:
            fix = "Predict with its members, or set augment.mirror and inference.mirror in their recipes"
            raise BadInput("--tta is for runs", folder, fix)
        if options.abstain is not None:
            raise BadInput("--abstain is for runs on points or classes", folder, "Leave it out")
        return
    if options.tta:
        need(run, "predict --tta")
    if options.uncertainty is not None:
        need(run, "predict --uncertainty")
    if options.maps:
        need(run, "predict --maps")
    if options.cutouts is not None:
        need(run, "predict --cutouts")


def with_quality(
    run: Run,
    predictor: Any,
    scans: Sequence[Scan],
    out: Path,
    found: Predictions,
    options: PredictOptions,
    listener: Listener,
) -> Predictions:
    """The same with the likely Dice of each case."""
    quality = Quality.of(run, predictor)
    if quality is None or not scans:
        return found
    asked = [(s.name, partial(read_scan, s, options.resample_tilt), found.files[s.name]) for s in scans]
    with listener.progress("Predicting the quality") as progress:
        judged = judge(quality, asked, out / "quality.csv", progress=progress)
    beside = [*found.beside, out / "quality.csv"]
    return replace(found, beside=beside, quality=judged, promise=quality.model.sentence())


def around_of(given: Path | None, scans: Sequence[Scan]) -> dict[str, Path]:
    """File with a mask or point by the scan's name.

    Raises
    ------
    BadInput : there is no such file, or one file is given for several scans.
    """
    if given is None:
        return {}
    if not given.is_dir():
        if not given.is_file():
            raise BadInput("there is no such file", given, "Check --around")
        if len(scans) > 1:
            raise BadInput(f"one file is given for {len(scans)} scans", given, "Give a folder with a file per scan")
        return {scans[0].name: given}
    files = {split_ending(path.name)[0] or path.name.split(".")[0]: path for path in sorted(given.iterdir())}
    if lost := [scan.name for scan in scans if scan.name not in files]:
        raise BadInput(f"holds no file for {name_some(lost)}", given, "Name the files like the scans")
    return {scan.name: files[scan.name] for scan in scans}
