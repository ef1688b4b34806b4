"""Evaluating a run: the held-out cases after training, any other data set later, and the report.

Knows the run's ``predictions``, ``metrics.csv`` and ``summary.json``. The metrics are in ``voxloom.evaluation``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.dataset import Case, Dataset, Labels
from voxloom.dataset.leaks import describe_case
from voxloom.dataset.tables import name_some
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation, dice_score, evaluate_case, robustness
from voxloom.evaluation.case import undeclared_values
from voxloom.files import plain, write_json, write_text
from voxloom.formats import read_label, write_volume
from voxloom.inference.postprocess import keep_largest
from voxloom.notes import Note, collect, grouped, pass_on, sentence
from voxloom.progress import Progress
from voxloom.study.guard import refuse_leak
from voxloom.study.matching import labelled_test, matched_cases
from voxloom.study.mending import Activations, Mending, as_json, mend_predictions, planned_mendings
from voxloom.study.predict import Predictor
from voxloom.study.quality import judge_test
from voxloom.study.run import Run
from voxloom.study.structures import score_structures
from voxloom.training.settings import InferenceSettings
from voxloom.volume import Volume

#: Keeping the largest component only must gain this much Dice on the validation cases to be used.
WORTHWHILE_GAIN = 1e-4
#: The figures of an evaluation that is kept in a folder of its own.
STATISTICS = "statistics.json"
#: Where the last test set lies, in ``summary.json`` under ``test``.
ROOT = "root"


@dataclass(frozen=True)
class RunEvaluation:
    """Figures of a run on one data set.

    Parameters
    ----------
    run : folder of the run.
    name : "validation", or the name of the data set.
    evaluation : one row per case and label.
    warnings : what a reader must know about the cases.
    structures : figures of single structures (``StructureTable.summary``), where the recipe counts them.
    """

    run: Path
    name: str
    evaluation: Evaluation
    warnings: tuple[str, ...] = ()
    structures: dict[str, Any] | None = None

    def summary(self) -> dict[str, Any]:
        """Mean, median, SD and bootstrap confidence interval per label and over labels, and of single structures."""
        structures = {} if self.structures is None else {"structures": self.structures}
        return {**self.evaluation.summary(), **structures}

    def report(self, path: str | Path | None = None) -> Path:
        """Write the run's report, which includes these figures."""
        return report_run(self.run, Path(path) if path is not None else None)


def predict_and_score(
    predictor: Predictor, cases: Sequence[Case], out: Path, labels: Labels, tick: Callable[[], None] = lambda: None
) -> Evaluation:
    """Predict labelled cases into ``out`` and score each on its own grid; one case is in memory at a time."""
    evaluation = Evaluation(labels.names)
    unknown: dict[int, list[str]] = {}
    for case in cases:
        prediction, truth = predictor.predict(case.read_image()), truth_of(case)
        write_volume(prediction, out / f"{case.id}.nii.gz")
        evaluation.add(case.id, evaluate_case(prediction, truth, labels), patient=case.patient)
        for value in undeclared_values(truth, labels):
            unknown.setdefault(value, []).append(case.id)
        tick()
    evaluation.notes += [
        f"value {value} of the truth is not a label of the run and counts as background ({name_some(ids)})"
        for value, ids in sorted(unknown.items())
    ]
    return evaluation


def truth_of(case: Case) -> Volume:
    """The label of a case; a case without one is refused."""
    truth = case.read_label()
    if truth is None:
        raise BadInput(f"case {case.id} has no label to compare with", None, "Evaluate only labelled cases")
    return truth


def validate_run(
    folder: Path, dataset: Dataset, labels: Labels, outcomes: Mapping[str, Any], progress: Progress | None = None
) -> dict[str, Any]:
    """Predict every fold's held-out cases with its own network, decide on the largest component, write ``summary.json``.

    Parameters
    ----------
    dataset : of the run.
    outcomes : what each fold's training ended with.
    """
    folds = Run(folder).data
    held_out = {name: [c["id"] for c in folds["cases"] if f"fold_{c['fold']}" == name] for name in outcomes}
    total = sum(map(len, held_out.values()))
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    scored = {}
    for name, ids in held_out.items():
        cases = [dataset[i] for i in ids]
        if cases:
            scored[name] = predict_and_score(
                Predictor.from_folds([folder / name]), cases, folder / name / "predictions", labels, tick
            )
    largest = decide_largest(folder, dataset, labels, held_out)
    if largest:
        scored = {name: score_again(folder / name, dataset, held_out[name], labels, largest) for name in scored}
    mendings = decide_mendings(folder, dataset, labels, held_out)
    if any(mending.used for mending in mendings):
        scored = {name: score_again(folder / name, dataset, held_out[name], labels, ()) for name in scored}
    pooled = Evaluation(labels.names)
    for name, evaluation in scored.items():
        evaluation.write_csv(folder / name / "metrics.csv")
        pooled.extend(evaluation)
    summary = {"largest_component": list(largest), "postprocess": as_json(mendings), "folds": dict(outcomes)}
    if total:
        spread = {"robustness": robustness(scored)} if len(scored) > 1 else {}
        paths = {i: folder / name / "predictions" / f"{i}.nii.gz" for name in scored for i in held_out[name]}
        structures = score_structures(Run(folder), labels, paths, [dataset[i] for i in paths], folder)
        summary["validation"] = {**pooled.summary(), **spread, **structures}
    write_json(folder / "summary.json", summary)
    return summary


def decide_largest(
    folder: Path, dataset: Dataset, labels: Labels, held_out: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """Labels whose mean Dice on the held-out cases rises when only their largest component is kept.

    A recipe that names the labels is obeyed; regions are left as they are.
    """
    wanted = Run(folder).recipe.inference["largest_component"]
    if wanted != "auto":
        return tuple(wanted)
    if labels.has_regions:
        return ()
    gains: dict[str, list[float]] = {name: [] for name in labels.names}
    for name, ids in held_out.items():
        for case in ids:
            found = read_label(folder / name / "predictions" / f"{case}.nii.gz").data[0]
            truth = truth_of(dataset[case]).data[0]
            valid = labels.valid(truth)
            for label, true in labels.masks(truth):
                masks = [dict(labels.masks(m))[label] for m in (keep_largest(found, labels, [label]), found)]
                kept, mask, true = (m if valid is None else m & valid for m in (*masks, true))
                gains[label].append(dice_score(kept, true) - dice_score(mask, true))
    return tuple(label for label, values in gains.items() if values and np.mean(values) > WORTHWHILE_GAIN)


def decide_mendings(
    folder: Path, dataset: Dataset, labels: Labels, held_out: Mapping[str, Sequence[str]]
) -> list[Mending]:
    """Try the recipe's post-processing steps on the held-out cases; predictions on disk are mended by those that help."""
    run = Run(folder)
    settings = InferenceSettings.model_validate(run.recipe.inference)
    planned = planned_mendings(settings, labels, run.data.get("fingerprint", {}), dataset)
    fold_of = {case: name for name, ids in held_out.items() for case in ids}
    predictions = {case: folder / name / "predictions" / f"{case}.nii.gz" for case, name in fold_of.items()}

    def activations(case: str) -> contextlib.AbstractContextManager[Activations]:
        return Predictor.from_folds([folder / fold_of[case]]).activations(dataset[case].read_image())

    return mend_predictions(planned, predictions, dataset, labels, activations)


def score_again(
    fold: Path, dataset: Dataset, ids: Sequence[str], labels: Labels, largest: tuple[str, ...]
) -> Evaluation:
    """Keep the largest component of some labels in the predictions on disk, and score them anew."""
    evaluation = Evaluation(labels.names)
    for case in ids:
        path = fold / "predictions" / f"{case}.nii.gz"
        prediction = read_label(path)
        prediction = prediction.with_data(keep_largest(prediction.data[0], labels, largest)[None])
        write_volume(prediction, path)
        evaluation.add(case, evaluate_case(prediction, truth_of(dataset[case]), labels), patient=dataset[case].patient)
    return evaluation


def evaluate_run(folder: Path, data: str | Path | Dataset | None = None, out: Path | None = None) -> RunEvaluation:
    """Score a run on another data set, or give the figures of its held-out cases.

    Parameters
    ----------
    folder : of the run.
    data : labelled data set; its test split where it has one. Its labels are matched with the run's by name, so that their values
        may differ. None: the held-out cases of the run.
    out : where ``metrics.csv``, ``statistics.json`` and predictions go; default: ``test`` in the run, and ``summary.json``. The
        held-out cases are written only where it is given.

    Raises
    ------
    BadInput : cases have no label, the labels contradict the run's, or a case or patient is one of the run's own.
    """
    run = Run(folder)
    if data is None:
        structures = run.summary.get("validation", {}).get("structures")
        held_out = RunEvaluation(folder, "validation", held_out_figures(run), structures=structures)
        if out is not None:
            held_out.evaluation.write_csv(out / "metrics.csv")
            write_json(out / STATISTICS, plain({"name": held_out.name, **held_out.summary()}))
        return held_out
    dataset = (data if isinstance(data, Dataset) else Dataset(data)).with_series(run.recipe.data.series)
    test = labelled_test(dataset)
    if not test:
        raise BadInput("no labelled case to evaluate on", dataset.root, "Give a data set with labels")
    warnings = refuse_leak(run, test)
    predictor = Predictor.of(run)
    matched = matched_cases(run.recipe, predictor.labels, predictor.channels, dataset, test)
    place = out or folder / "test"
    with collect() as heard:
        evaluation = predict_and_score(predictor, matched.cases, place / "predictions", matched.labels)
    warnings = [*warnings, *told_warnings(heard)]
    evaluation.write_csv(place / "metrics.csv")
    write_json(place / "cases.json", [describe_case(case) for case in matched.cases])
    paths = {case.id: place / "predictions" / f"{case.id}.nii.gz" for case in matched.cases}
    structures = score_structures(run, matched.labels, paths, matched.cases, place)
    checked = judge_test(run, predictor, matched.cases, place, evaluation.case_means("dice"))
    warnings += [*matched.notes, *evaluation.notes]
    noted = {**({"warnings": warnings} if warnings else {}), **({"quality": checked} if checked else {})}
    told = {"name": dataset.name, **evaluation.summary(), **structures, **noted}
    if out is None:
        kept = {**told, ROOT: str(Path(dataset.root).resolve())}
        write_json(folder / "summary.json", {**run.summary, "test": kept})
    else:
        write_json(out / STATISTICS, plain(told))
    return RunEvaluation(folder, dataset.name, evaluation, (*warnings, *dataset.notes), structures.get("structures"))


def told_warnings(notes: Sequence[Note]) -> list[str]:
    """The warnings among what readers and predictors told, as lines; the other notes are passed on."""
    pass_on(note for note in notes if not note.is_warning)
    return [sentence(text, sources) for text, sources in grouped(note for note in notes if note.is_warning)]


def held_out_figures(run: Run) -> Evaluation:
    """The rows of every fold's ``metrics.csv``."""
    files = sorted(run.folder.glob("fold_*/metrics.csv"))
    if not files:
        raise BadInput("the run has no held-out cases", run.folder, "Give a data set: voxloom evaluate RUN DATASET")
    pooled = Evaluation.read_csv(files[0])
    for path in files[1:]:
        pooled.extend(Evaluation.read_csv(path))
    return pooled


def report_run(folder: Path, path: Path | None = None) -> Path:
    """Write ``report.html`` and the cards (``model_card.md``, ``claim.md``, ``methods.md``); a copy of the page to ``path``."""
    from voxloom.report.cards import write_cards
    from voxloom.report.run_page import write_run_report

    write_cards(folder)
    written = write_run_report(folder)
    if path is None:
        return written
    write_text(path, written.read_text(encoding="utf-8"))
    return path
