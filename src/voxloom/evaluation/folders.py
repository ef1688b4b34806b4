"""Two folders of label maps against each other, matched by case id. Missing predictions are failures, not gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from voxloom.dataset.case import Case
from voxloom.dataset.labels import Labels
from voxloom.errors import BadInput, VoxloomError
from voxloom.evaluation.case import check_grids, evaluate_case
from voxloom.evaluation.evaluation import Evaluation
from voxloom.evaluation.measures import USUAL, Measures
from voxloom.evaluation.metrics import MaskMetrics
from voxloom.evaluation.probes import Planes, Probed, probe_case
from voxloom.files import file_stem
from voxloom.formats import IMAGE_ENDINGS, LOSSY, ending_of, label_object, read_label, read_volume
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
    """Scores one case: its name, its prediction (None for none) and its truth; picklable for worker processes.

    Parameters
    ----------
    labels : of the true maps.
    measures : further metrics, and the conventions.
    maps : folder of probability maps, for metrics that need them.
    """

    labels: Labels
    measures: Measures = USUAL
    maps: Path | None = None

    def __call__(self, pair: tuple[str, Path | None, Truth]) -> tuple[dict[str, MaskMetrics], Probed | None]:
        case, prediction, true = pair
        found, truth = read_pair(prediction, true, self.labels)
        check_values(found, self.labels)
        metrics = evaluate_case(found, truth, self.labels, self.measures)
        if self.maps is None or not self.measures.needs_maps:
            return metrics, None
        planes = planes_of(self.maps, case, truth, self.labels)
        if prediction is None:
            outside = [] if self.labels.has_regions else [np.ones(truth.shape, np.float32)]
            planes = iter([(0, 0, [*outside, *[np.zeros(truth.shape, np.float32)] * self.labels.count])])
        return metrics, probe_case(planes, truth, self.labels, self.measures)


def planes_of(folder: Path, case: str, truth: Volume, labels: Labels) -> Iterator[Planes]:
    """The probability maps of a case as ``voxloom predict --maps`` writes them, a file per label; the background has the rest of 1.

    Raises
    ------
    BadInput : a map is missing, lies on another grid than the truth, or holds other values than 0 to 1.
    """
    maps = []
    for name in labels.names:
        path = folder / f"{case}_{file_stem(name)}.nii.gz"
        if not path.is_file():
            raise BadInput(f"no probability map of {name}", path, "Write them with: voxloom predict --maps")
        found = read_volume(path)
        check_grids(found, truth)
        if found.data.size and not (float(found.data.min()) >= 0 and float(found.data.max()) <= 1):
            raise BadInput(
                "holds values outside 0 to 1, so it is not a probability map", path, "Name the folder of maps"
            )
        maps.append(found.data[0])
    step = max(1, (1 << 22) // max(1, maps[0][:1].size))
    for start in range(0, truth.shape[0], step):
        own = [one[start : start + step] for one in maps]
        rest = [] if labels.has_regions else [np.clip(1 - np.sum(own, axis=0), 0, 1)]
        yield 0, start, [*rest, *own]


def check_values(prediction: Volume, labels: Labels) -> None:
    """Compare the values of a prediction with the labels: other ones are told, and refused where none is the same.

    Raises
    ------
    BadInput : everything that was found has a value that no label has, such as 255 where the truth has 1.
    """
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
    maps: str | Path | None = None,
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
    maps : folder of probability maps, for metrics that need them.
    workers, progress : of ``map_outcomes``.
    failed : told of a case that could not be scored, so that the others go on; None lets the error through.

    Raises
    ------
    BadInput : a folder is missing or empty, no name matches, grids differ, or a file cannot be read.
    """
    if measures.needs_maps and maps is None:
        fix = "Give --maps DIR, the folder `maps` that voxloom predict --maps writes"
        raise BadInput("metrics of probabilities need their maps, which label maps do not hold", predictions, fix)
    if maps is not None and not Path(maps).is_dir():
        raise BadInput("no such folder", maps, "Name the folder `maps` that voxloom predict --maps wrote")
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
    pairs = [(case, (case, found.get(case), path)) for case, path in true.items()]
    scorer = PairScorer(chosen, measures, None if maps is None else Path(maps))
    for case, outcome in map_outcomes(scorer, pairs, step="evaluating", workers=workers, progress=progress):
        if not isinstance(outcome, VoxloomError):
            metrics, probed = outcome
            evaluation.add(case, metrics, patient=(patients or {}).get(case))
            if probed is not None:
                evaluation.add_probed(case, probed)
        elif failed is None:
            raise outcome
        else:
            failed(case, outcome)
    return evaluation
