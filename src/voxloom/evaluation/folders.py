"""Two folders of label maps against each other, matched by case id. Missing predictions are failures, not gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from voxloom.dataset.case import Case
from voxloom.dataset.labels import Labels
from voxloom.errors import BadInput, VoxloomError
from voxloom.evaluation.case import evaluate_case
from voxloom.evaluation.evaluation import Evaluation
from voxloom.evaluation.measures import USUAL, Measures
from voxloom.evaluation.metrics import MaskMetrics
from voxloom.formats import IMAGE_ENDINGS, LOSSY, ending_of, label_object, read_label
from voxloom.formats.dicom.results.objects import objects_in
from voxloom.formats.placed import on_one_grid
from voxloom.notes import tell
from voxloom.parallel import map_outcomes
from voxloom.progress import Progress
from voxloom.volume import Volume

#: A true label map: a file, or a case of a data set.
Truth: TypeAlias = Path | Case


def read_truth(truth: Truth) -> Volume:
    """The true label map (1, I, J, K)."""
    volume = read_label(truth) if isinstance(truth, Path) else truth.read_label()
    assert volume is not None, "only labelled cases are truths"
    return volume


def read_pair(prediction: Path | None, truth: Truth, labels: Labels) -> tuple[Volume, Volume]:
    """A prediction (nothing where there is no file) and its truth, on one grid where either is a DICOM SEG or RTSTRUCT."""
    true = None if isinstance(truth, Path) and label_object(truth) == "rtstruct" else read_truth(truth)
    if true is None:  # its own series may not be beside it
        found = None if prediction is None else read_label(prediction)
        assert isinstance(truth, Path)
        true = read_label(truth, like=found)
    if prediction is None:
        return nothing_like(true, labels), true
    is_contours = label_object(prediction) == "rtstruct"
    return on_one_grid(read_label(prediction, like=true if is_contours else None), true)


@dataclass(frozen=True)
class PairScorer:
    """Scores one (prediction, truth) pair; picklable for worker processes."""

    labels: Labels
    measures: Measures = USUAL

    def __call__(self, pair: tuple[Path | None, Truth]) -> dict[str, MaskMetrics]:
        found, truth = read_pair(pair[0], pair[1], self.labels)
        check_values(found, self.labels)
        return evaluate_case(found, truth, self.labels, self.measures)


def check_values(prediction: Volume, labels: Labels) -> None:
    """Compare the values of a prediction with the labels: other ones are told, and refused where none is the same.

    Raises
    ------
    BadInput : everything that was found has a value that no label has, such as 255 where the truth has 1.
    """
    import numpy as np

    known = {labels.background, *labels.declared}
    values = [int(v) for v in np.unique(prediction.data)]
    other = [v for v in values if v not in known]
    if not other:
        return
    told = f"{', '.join(map(str, other[:5]))}{', ...' if len(other) > 5 else ''}"
    wanted = ", ".join(str(v) for v in sorted(known)[:8])
    where = prediction.meta.get("source")
    if not set(values) & (known - {labels.background}):
        fix = "Give both folders the same values, or name them: --labels NAME=VALUE"
        raise BadInput(f"holds the values {told}, the truth {wanted}: nothing could agree", where, fix)
    tell(where, f"holds values that are not among the labels and are not scored: {told} (labels: {wanted})")


def nothing_like(truth: Volume, labels: Labels) -> Volume:
    """A prediction that found nothing, on the grid of the truth."""
    empty = truth.data.copy()
    empty[...] = labels.background
    return truth.with_data(empty)


def label_files(folder: Path) -> dict[str, Path]:
    """Case id -> label map of a folder (BadInput when there is no folder or no label map)."""
    if not folder.is_dir():
        raise BadInput("no such folder", folder)
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        ending = ending_of(path)
        if ending is None or ending in LOSSY or path.name.startswith(".") or not path.is_file():
            continue
        case = path.name[: -len(ending)]
        if case in found:
            raise BadInput(f"case {case} has two files, {found[case].name} and {path.name}", folder, "Remove one")
        found[case] = path
    found |= objects_in(folder, found)
    if not found:
        raise BadInput(
            f"no label map in it (looked for {', '.join(e for e in IMAGE_ENDINGS if e not in LOSSY)}, DICOM SEG and RTSTRUCT)",
            folder,
        )
    return found


def find_labels(truths: Mapping[str, Truth]) -> Labels:
    """Labels named by their values, or as DICOM segments and regions are, from all values that occur in the true label maps.

    Maps of one value each, which is not the same in all, are told: 0 and 1 in some and 0 and 255 in others is often one structure.
    """
    import numpy as np

    found: list[set[int]] = []
    names: dict[int, str] = {}
    for truth in truths.values():
        volume = read_truth(truth)
        found.append({int(v) for v in np.unique(volume.data)} - {0})
        names |= volume.meta.get("label_names", {})
    values = sorted(set().union(*found))
    if len(values) > 1 and all(len(inside) <= 1 for inside in found):
        told = ", ".join(map(str, values[:6]))
        tell("truth", f"the values {told} never occur in one file; they are scored as different labels", warning=True)
    return Labels.from_values(values, names)


def evaluate_folders(
    predictions: str | Path,
    truths: str | Path | Mapping[str, Truth],
    labels: Labels | None = None,
    *,
    patients: Mapping[str, str] | None = None,
    measures: Measures = USUAL,
    workers: int | None = None,
    progress: Progress | None = None,
    failed: Callable[[str, VoxloomError], None] | None = None,
) -> Evaluation:
    """Score every true label map that a folder holds.

    Parameters
    ----------
    predictions, truths : folders; files match by their name without the ending. Truths may also be given by case.
    labels : None takes every value of the truth as a label of its own.
    patients : case -> patient, for the intervals; None takes every case as a patient of its own.
    measures : further metrics, and the conventions.
    workers, progress : of ``map_named``.
    failed : told of a case that could not be scored, so that the others go on; None lets the error through.

    Raises
    ------
    BadInput : a folder is missing or empty, no name matches, grids differ, or a file cannot be read.
    """
    found = label_files(Path(predictions))
    true: Mapping[str, Truth] = truths if isinstance(truths, Mapping) else {**label_files(Path(truths))}
    if not set(found) & set(true):
        example = f"{next(iter(found))} and {next(iter(true))}"
        raise BadInput(
            f"no prediction has the name of a truth (for example {example})", predictions, "Rename the files"
        )
    chosen = labels or find_labels(true)
    missing = [case for case in true if case not in found]
    evaluation = Evaluation(chosen.names, missing=missing, measures=measures)
    pairs = [(case, (found.get(case), path)) for case, path in true.items()]
    scorer = PairScorer(chosen, measures)
    for case, outcome in map_outcomes(scorer, pairs, step="evaluating", workers=workers, progress=progress):
        if not isinstance(outcome, VoxloomError):
            evaluation.add(case, outcome, patient=(patients or {}).get(case))
        elif failed is None:
            raise outcome
        else:
            failed(case, outcome)
    return evaluation
