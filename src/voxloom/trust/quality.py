"""``calibrate``: learn from a run's held-out cases what its predictions are worth, and say it for new ones.

Knows the run's ``quality.json``. The features of a held-out case come from the one network that never saw it: its label map on disk,
and members of that network (draws where it has dropout, changed views of the scan otherwise). Those of a new scan are computed in
the same way by every network of the run, beside the label map of all of them, and averaged. The arithmetic is in
``voxloom.evaluation.quality`` and ``voxloom.inference.disagreement``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.crew import map_with
from voxloom.dataset import Case
from voxloom.dataset.tables import write_table
from voxloom.errors import BadInput, VoxloomError
from voxloom.evaluation import Evaluation
from voxloom.evaluation.quality import (
    FEATURES,
    QualityCheck,
    QualityModel,
    check_quality,
    fit_quality,
    prediction_features,
)
from voxloom.files import read_json, write_json
from voxloom.formats import read_label
from voxloom.inference.needs import needs_of
from voxloom.progress import Progress
from voxloom.run.cases import other_set
from voxloom.run.run import Run
from voxloom.runfiles import CaseFiles, RunFold
from voxloom.tasks.abilities import need
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.trust.sampling import DRAWS, VIEWS, Sampling, Source
from voxloom.trust.uncertainty import check_sources, default_sources, scan_disagreement
from voxloom.volume import Volume

QUALITY = "quality.json"
#: Columns of ``quality.csv`` beside the features.
COLUMNS = ("case", "predicted_dice", "bound", "promise", "true_dice", *FEATURES)


@dataclass(frozen=True)
class QualityReader:
    """The networks of a run as judges of a prediction.

    Parameters
    ----------
    networks : one predictor per network.
    usual_ml : for each network the median volume of every label in its training cases.
    sampling : the members of each network.
    """

    networks: tuple[Predictor, ...]
    usual_ml: tuple[Mapping[str, float], ...]
    sampling: Sampling

    @classmethod
    def of(cls, run: Run, predictor: Predictor, sampling: Sampling) -> QualityReader:
        """All networks of a run, of which ``predictor`` holds the folds in order; mirrored as the run says, whatever it does."""
        mirror = tuple(axis for axis in run.recipe.inference.get("mirror", ()) if axis in predictor.trained_mirror)
        inference = predictor.inference.model_copy(update={"mirror": mirror})
        networks = tuple(
            replace(predictor, members=(member,), inference=inference, looks=()) for member in predictor.members
        )
        return cls(networks, tuple(usual_volumes(run, fold) for fold in run.folds), sampling)

    def features(self, scan: Volume, prediction: Volume) -> dict[str, float]:
        """Features of a label map (1, I, J, K) of a scan, the mean over the networks."""
        rows = []
        for network, usual in zip(self.networks, self.usual_ml, strict=True):
            with scan_disagreement([network], scan, self.sampling) as (found, _):
                figures = found.figures()
            voxel_ml = prediction.voxel_size / 1000
            rows.append(prediction_features(prediction.data[0], network.labels, voxel_ml, figures, usual))
        return {name: float(np.mean([row[name] for row in rows])) for name in FEATURES}


@dataclass(frozen=True)
class Quality:
    """A calibrated run: what a prediction is likely worth.

    Parameters
    ----------
    reader : where features come from.
    model : from features to Dice and its bound.
    """

    reader: QualityReader
    model: QualityModel

    @classmethod
    def of(cls, run: Run, predictor: Predictor) -> Quality | None:
        """The calibration of a run, or None where there is none."""
        if not is_calibrated(run.folder):
            return None
        about = read_json(run.folder / QUALITY)
        try:
            sampling = about["members"]
            members = Sampling(tuple(sampling["sources"]), int(sampling["draws"]), int(sampling["seed"]))
            model = QualityModel.from_dict(about["model"])
            old = "tta" in members.sources and sampling.get("views") != VIEWS
        except (KeyError, TypeError, ValueError) as error:
            fix = f"Calibrate the run again: voxloom calibrate {run.folder}"
            raise BadInput(f"the calibration is damaged ({error})", run.folder / QUALITY, fix) from error
        if old:
            what = "the run was calibrated by an earlier version, whose changed views of a scan were others"
            fix = f"Calibrate it again: voxloom calibrate {run.folder}, or leave the quality out with --no-quality"
            raise BadInput(what, run.folder / QUALITY, fix)
        return cls(QualityReader.of(run, predictor, members), model)

    def row(self, case: str, scan: Volume, prediction: Volume) -> dict[str, Any]:
        """A row of ``quality.csv``; the true Dice is left out."""
        features = self.reader.features(scan, prediction)
        predicted, bound = self.model.predict(features)
        return {"case": case, "predicted_dice": predicted, "bound": bound, "promise": self.model.promise, **features}


def is_calibrated(folder: Path) -> bool:
    """Whether a folder is a run that says what its predictions are worth."""
    return (folder / QUALITY).is_file()


def usual_volumes(run: Run, fold: RunFold) -> dict[str, float]:
    """Median volume in ml of every label in the training cases of a fold."""
    about = run.data
    held_out = {case for case, other in run.fold_of.items() if other == fold}
    volumes: dict[str, list[float]] = {}
    for case in about.get("fingerprint", {}).get("cases", ()):
        voxel = float(np.prod(case["spacing"])) / 1000
        for name, voxels in case["label_voxels"].items() if case["id"] not in held_out else ():
            volumes.setdefault(name, []).append(voxels * voxel)
    return {name: float(np.median(values)) for name, values in volumes.items()}


@dataclass(frozen=True)
class CalibrateOptions:
    """How a run is calibrated.

    Parameters
    ----------
    sources : of the members of a network, for label maps; left out, draws where it has dropout, else changed views. Folds are refused:
        all but one of them have seen a held-out case.
    draws, seed : see ``Sampling``.
    promise : chance with which a bound, set or interval is to hold; of label maps the share of patients whose true Dice is to lie
        above the bound.
    confidence : chance with which this one calibration of label maps keeps the promise; None keeps it on average over calibrations.
    device : "auto", "cpu" or "cuda".
    """

    sources: tuple[Source, ...] = ()
    draws: int = DRAWS
    seed: int = 0
    promise: float = 0.9
    confidence: float | None = None
    device: str = "auto"


def calibrate_run(
    folder: Path, options: CalibrateOptions = CalibrateOptions(), progress: Progress | None = None
) -> dict[str, Any]:
    """Fit predicted Dice and its bound on the held-out cases of a run; writes ``quality.json`` and ``quality.csv``.

    Returns
    -------
    What ``quality.json`` holds.

    Raises
    ------
    BadInput : the run has too few held-out patients, its data are gone, or the sources do not fit.
    """
    run = Run(folder)
    need(run, "calibrate")
    if "folds" in options.sources:
        raise BadInput("all folds but one have seen a held-out case", "members", "Calibrate with tta or dropout")
    rows: list[dict[str, Any]] = []
    known = _known_cases(run)
    total = sum(map(len, known.values()))
    for fold, cases in known.items():
        predictor = Predictor.from_folds([fold.folder], device=options.device).with_run(run)
        sampling = Sampling(options.sources or default_sources(predictor), options.draws, options.seed)
        check_sources([predictor], sampling)
        reader = QualityReader((predictor,), (usual_volumes(run, fold),), sampling)
        true = Evaluation.read_csv(fold.held_out.table).case_means("dice")
        for case in cases:
            prediction = read_label(fold.held_out.prediction(case.id))
            features = reader.features(case.read_image(), prediction)
            rows.append({"case": case.id, "patient": case.patient, "true_dice": true[case.id], **features})
            if progress is not None:
                progress(len(rows), total)
    features_of = [{name: row[name] for name in FEATURES} for row in rows]
    model, predicted = fit_quality(
        features_of,
        [r["true_dice"] for r in rows],
        [r["patient"] for r in rows],
        promise=options.promise,
        confidence=options.confidence,
    )
    return _write(run, rows, model, predicted, sampling)


def _known_cases(run: Run) -> dict[RunFold, list[Case]]:
    """Fold -> the cases that it held out, with its predictions of them."""
    dataset = other_set(run, run.data_root)
    known = {case.id: case for case in dataset}
    found: dict[RunFold, list[Case]] = {}
    for fold in run.folds:
        ids = [case for case, other in run.fold_of.items() if other == fold]
        lost = [case for case in ids if case not in known or not fold.held_out.prediction(case).is_file()]
        if lost:
            fix = "Move the data back, or train the run to its end with --resume"
            raise BadInput(f"held-out case {lost[0]} or its prediction is gone", run.folder, fix)
        if ids:
            found[fold] = [known[case] for case in ids]
    if not found:
        raise BadInput("the run has no held-out cases", run.folder, "Train with --folds 5, or with a hold-out")
    return found


def _write(
    run: Run, rows: Sequence[dict[str, Any]], model: QualityModel, predicted: Sequence[float], sampling: Sampling
) -> dict[str, Any]:
    true = [row["true_dice"] for row in rows]
    kept = check_quality(true, predicted, [0.0] * len(rows), model.promise, [row["patient"] for row in rows])
    about = {
        "format": 1,
        "sentence": model.sentence(),
        "members": sampling.to_dict(),
        "model": model.to_dict(),
        "held_out": {
            "mean_error": kept.mean_error,
            "rho": kept.rho,
            "area": kept.area,
            "best_area": kept.best_area,
            "random_area": kept.random_area,
        },
    }
    table = [{**row, "predicted_dice": p, "promise": model.promise} for row, p in zip(rows, predicted, strict=True)]
    columns = [name for name in COLUMNS if name != "bound"]
    write_table(run.folder / "quality.csv", ["case", "patient", *columns[1:]], table)
    write_json(run.folder / QUALITY, about)
    return about


def judge(
    quality: Quality,
    scans: Sequence[tuple[str, Callable[[], Volume], Path]],
    out: Path,
    *,
    true: Mapping[str, float] | None = None,
    patients: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """CaseFiles Dice and bound of predictions on disk, written to ``out``.

    Parameters
    ----------
    scans : per case its id, how to read its image, and its predicted label map.
    out : the table, ``quality.csv``.
    true : true Dice per case, where it is known.
    patients : of the cases, where they are known; a column of the table then.
    """
    rows = []
    items = [(case, (case, read, path)) for case, read, path in scans]
    needs = partial(needs_of, quality.reader.networks[0])
    for case, row in map_with(quality, _row, items, step="predicting the quality", needs=needs, progress=progress):
        if isinstance(row, VoxloomError):
            raise row
        known = {} if patients is None else {"patient": patients[case]}
        rows.append({**row, **known, "true_dice": None if true is None else true[case]})
    write_table(out, COLUMNS if patients is None else ("case", "patient", *COLUMNS[1:]), rows)
    return rows


def _row(quality: Quality, one: tuple[str, Callable[[], Volume], Path]) -> dict[str, Any]:
    case, read, path = one
    return quality.row(case, read(), read_label(path))


def check_rows(rows: Sequence[Mapping[str, Any]], promise: float) -> QualityCheck:
    """How predicted Dice and bounds fared on cases with a truth."""
    true, predicted, bounds = ([float(row[name]) for row in rows] for name in ("true_dice", "predicted_dice", "bound"))
    patients = [str(row["patient"]) for row in rows] if all("patient" in row for row in rows) else None
    return check_quality(true, predicted, bounds, promise, patients)


def judge_test(run: Run, predictor: Any, cases: Sequence[Case], out: Path, table: Any) -> dict[str, Any] | None:
    """Write ``quality.csv`` of predicted test cases in ``out``, and say how the bound fared; None without a calibration.

    Parameters
    ----------
    cases : whose predictions lie in ``out/predictions``.
    table : their scores.
    """
    quality = Quality.of(run, predictor)
    if quality is None or not cases:
        return None
    scans = [(case.id, case.read_image, CaseFiles(out).prediction(case.id)) for case in cases]
    patients = {case.id: case.patient for case in cases}
    judged = judge(quality, scans, out / "quality.csv", true=table.case_means("dice"), patients=patients)
    return check_rows(judged, quality.model.promise).to_dict()
