"""``calibrate``: learn what a run's answers are worth, from its held-out cases or from those of another site.

Knows which cases may be used. What is learned is the task's; predicted Dice is ``voxloom.trust.quality``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.files import write_json
from voxloom.progress import Progress
from voxloom.run.cases import other_set
from voxloom.run.guard import refuse_leak
from voxloom.run.run import Run
from voxloom.runfiles import SUMMARY, CaseFiles
from voxloom.tasks.abilities import need
from voxloom.tasks.scoring import annotated_test, counter, predict_and_score
from voxloom.tasks.task import Task, task_of
from voxloom.tasks.values import Calibrated
from voxloom.trust.quality import QUALITY, CalibrateOptions, calibrate_run
from voxloom.verbs.evaluate import labels_of


def calibrate(
    folder: Path,
    data: str | Path | Dataset | None = None,
    options: CalibrateOptions = CalibrateOptions(),
    progress: Progress | None = None,
) -> Calibrated:
    """Calibrate a run and keep what was learned.

    Parameters
    ----------
    folder : of the run.
    data : annotated cases that the run was not trained on, e.g. of the site where it will be used; None takes the held-out cases.

    Raises
    ------
    BadInput : the run has no held-out cases, ``data`` holds its own cases, or what is asked for does not go with its task.
    """
    run = Run(folder)
    need(run, "calibrate")
    if not 0.5 < options.promise < 1:
        what = f"a promise of {options.promise:g} is not a share between 0.5 and 1"
        raise BadInput(what, None, "Say --promise 0.9")
    task = task_of(run)
    if not task.calibrates:
        return _predicted_dice(run, data, options, progress)
    for option, given in (("--confidence", options.confidence is not None), ("--members", bool(options.sources))):
        if given:
            what = f"{option} is for runs on label maps; this one was trained on {task.trained_on}"
            raise BadInput(what, folder, "Leave it out")
    if data is not None:
        found = _elsewhere(run, task, data, options, progress)
    elif run.held_out_tables:
        found = task.calibrate(run, task.read_table(run.held_out_tables, run), options.promise, "held-out cases")
    else:
        fix = "Give a data set: voxloom calibrate RUN --data DATASET, or train with a hold-out"
        raise BadInput("the run has no held-out cases", folder, fix)
    write_json(folder / SUMMARY, {**run.summary, "calibration": dict(found.about)})
    return found


def _predicted_dice(
    run: Run, data: str | Path | Dataset | None, options: CalibrateOptions, progress: Progress | None
) -> Calibrated:
    """Of label maps: what predicts the Dice of a case."""
    if data is not None:
        what = "the Dice of label maps is predicted from held-out cases only"
        raise BadInput(what, run.folder, "Leave --data out")
    about = calibrate_run(run.folder, options, progress)
    return Calibrated(about, dice_rows(about), (run.folder / QUALITY, run.folder / "quality.csv"))


def dice_rows(about: Mapping[str, Any]) -> list[list[str]]:
    """What was learned of predicted Dice, for the screen."""
    held_out, model = about["held_out"], about["model"]
    rho = "unknown" if held_out["rho"] is None else f"{held_out['rho']:.2f}"
    return [
        ["held-out cases (patients)", f"{model['cases']} ({model['patients']})"],
        ["mean error of predicted Dice, each case without its patient", f"{held_out['mean_error']:.3f}"],
        ["Spearman's correlation with true Dice", rho],
    ]


def _elsewhere(
    run: Run, task: Task, data: str | Path | Dataset, options: CalibrateOptions, progress: Progress | None
) -> Calibrated:
    """By cases of another data set, predicted by all folds without an earlier calibration."""
    dataset = other_set(run, data)
    cases = annotated_test(task, dataset)
    if not cases:
        raise BadInput(f"no case with {task.needed} to calibrate on", dataset.root, task.remedy)
    refuse_leak(run, cases)
    predictor = task.load(run.folds, device=options.device)
    matched = task.matched(run.recipe, labels_of(run), predictor.channels, dataset, cases)
    tick = counter(len(matched.cases), progress)
    place = CaseFiles(run.folder / "calibration")
    scored = predict_and_score(task, predictor, matched.cases, place.predictions, tick, labels=matched.labels)
    if not scored.table.cases:
        raise BadInput(f"no case with {task.needed} to calibrate on", dataset.root, task.remedy)
    scored.table.write_csv(place.table)
    return task.calibrate(run, scored.table, options.promise, dataset.name, matched.cases)
