"""``review``: held-out cases that a run finds hard, listed as suspected label errors (the data filter of skull-stripping studies).

Knows the run's out-of-fold figures and predictions, and the list that a person marks. The page is in ``report.review_page``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxloom.errors import BadInput
from voxloom.files import file_stem, write_text
from voxloom.formats import read_label
from voxloom.report.review_page import Suspect, thumbnail, write_review_page
from voxloom.run.cases import read_verdicts
from voxloom.run.run import Run
from voxloom.tasks.abilities import need
from voxloom.tasks.segmentation.scoring import held_out_figures
from voxloom.tasks.segmentation.truth import truth_of
from voxloom.tasks.study import open_study

#: Names in the folder of a review.
LIST, PAGE, PICTURES = "review.csv", "review.html", "thumbnails"
COLUMNS = ("case", "patient", "fold", "dice", "worst_label", "worst_dice", "verdict")


@dataclass(frozen=True)
class Review:
    """What a review found.

    Parameters
    ----------
    suspects : worst first.
    judged, cases : cases that were held out, and all cases of the run.
    wrote : the list, the page.
    """

    suspects: list[Suspect]
    judged: int
    cases: int
    wrote: list[Path]


def review_run(
    folder: Path,
    threshold: float = 0.8,
    label: str | None = None,
    out: Path | None = None,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Review:
    """List the held-out cases whose Dice is below a threshold, with pictures; verdicts of an earlier list are kept.

    Parameters
    ----------
    folder : of a run that held cases out; with folds every case is judged by a network that never saw it.
    threshold : of the mean Dice over labels, or of ``label``.
    out : folder of the review; default ``review`` in the run.

    Raises
    ------
    BadInput : no case was held out, the run has no such label, or an earlier list is damaged.
    """
    run, place = Run(folder), out or folder / "review"
    need(run, "review")
    earlier = read_verdicts(place / LIST) if (place / LIST).is_file() else {}
    found = suspects(run, threshold, label, earlier)
    pictures = draw(run, found, place / PICTURES, tick)
    write_text(place / LIST, as_csv(found))
    judged, cases = len(held_out_figures(run).cases), len(run.data["cases"])
    page = write_review_page(
        found, pictures, f"{judged} of {cases} cases were held out and judged", threshold, place / PAGE
    )
    return Review(found, judged, cases, [place / LIST, page])


def suspects(run: Run, threshold: float, label: str | None, verdicts: dict[str, str]) -> list[Suspect]:
    """Cases below the threshold, worst first."""
    figures = held_out_figures(run)
    if label is not None and label not in figures.labels:
        raise BadInput(f"the run has no label {label!r}", run.folder, f"It has {', '.join(figures.labels)}")
    means = figures.case_means("dice")
    listed = []
    for case in figures.cases:
        rows = [row for row in figures.rows if row.case == case]
        worst = min(rows, key=lambda row: row.metrics.dice)
        dice = means[case] if label is None else next(row.metrics.dice for row in rows if row.label == label)
        if dice < threshold:
            verdict = verdicts.get(case, "keep")
            listed.append(
                Suspect(case, worst.patient, run.fold_of[case].number, dice, worst.label, worst.metrics.dice, verdict)
            )
    return sorted(listed, key=lambda suspect: (suspect.dice, suspect.case))


def draw(run: Run, found: Sequence[Suspect], folder: Path, tick: Callable[[int, int], None]) -> dict[str, Path]:
    """A PNG per suspect with the contours of truth and prediction."""
    pictures: dict[str, Path] = {}
    if not found:
        return pictures
    study = open_study(run)
    for done, suspect in enumerate(found, start=1):
        prediction = run.fold(suspect.fold).held_out.prediction(suspect.case)
        if not prediction.is_file():
            raise BadInput(f"the prediction of {suspect.case} is gone", prediction, "Train the run again")
        case = study.dataset[suspect.case]
        path = folder / f"{file_stem(suspect.case)}.png"
        volumes = (case.read_image(), truth_of(case), read_label(prediction))
        pictures[suspect.case] = thumbnail(*volumes, study.labels, path)
        tick(done, len(found))
    return pictures


def as_csv(found: Sequence[Suspect]) -> str:
    """``review.csv``: a row per suspect; ``data.exclude`` reads its column ``verdict``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for s in found:
        writer.writerow([s.case, s.patient, s.fold, f"{s.dice:.4f}", s.worst_label, f"{s.worst_dice:.4f}", s.verdict])
    return text.getvalue()
