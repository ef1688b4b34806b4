"""What is measured of the probabilities of a case and kept of many: calibration of voxels, candidates of lesions.

Probabilities come a few planes at a time and are not kept. Knows maps and true label maps; does not know networks.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.boxes import bounding_box
from voxloom.dataset.labels import Labels
from voxloom.errors import BadInput
from voxloom.evaluation.candidates import CaseCandidates, SparseMap, case_candidates
from voxloom.evaluation.detection import DetectionRow, DetectionTable
from voxloom.evaluation.lesions import MatchRule
from voxloom.evaluation.limits import SHARE
from voxloom.evaluation.measures import FROC, Measures
from voxloom.evaluation.summary import summarize
from voxloom.evaluation.voxel_probabilities import BINS, NO_VOXELS, Bins, Calibration
from voxloom.files import write_text
from voxloom.volume import Volume

#: Tables beside ``metrics.csv``, and the row of the most likely label in the first.
RELIABILITY, CANDIDATES, MOST_LIKELY = "reliability.csv", "candidates.csv", "(most likely label)"
_COLUMNS = ("case", "patient", "label", "bin", "voxels", "probabilities", "right")

#: Planes of a volume: the axis they lie across, the first of them, and one map of them after the other, planes first.
Planes = tuple[int, int, Iterable[NDArray[np.floating[Any]]]]


@dataclass(frozen=True)
class Probed:
    """One case.

    Parameters
    ----------
    values : label -> metric of ``PROBABLE`` -> its value.
    bins : label, or ``MOST_LIKELY`` -> its voxels by their probability.
    candidates : label -> candidates of lesions; empty where none were asked for.
    """

    values: Mapping[str, Mapping[str, float]]
    bins: Mapping[str, Bins]
    candidates: Mapping[str, CaseCandidates]


def probe_case(
    planes: Iterable[Planes], truth: Volume, labels: Labels, measures: Measures, names: Sequence[str] = ()
) -> Probed:
    """Measure the probabilities of one case.

    Parameters
    ----------
    planes : of all labels on the grid of the truth; each voxel once. Of exclusive labels the background's map comes first.
    truth : label map (1, I, J, K) of outer values; voxels that it ignores count nowhere.
    labels : what the values of the truth mean.
    names : of the labels in the order of the maps; none for the order of ``labels``.
    """
    true, order = truth.data[0], tuple(names) or labels.names
    near = _near(true, labels, measures.calibration_margin_mm, truth.spacing)
    calibration = Calibration(order, exclusive=not labels.has_regions)
    sparse = {name: SparseMap() for name in order} if FROC in measures.metrics else {}
    for axis, start, maps in planes:
        beside = np.moveaxis(true, axis, 0)[start:]
        first, rest = _peeked(maps)
        own = beside[: len(first)]
        valid, cut = labels.valid(own), _cut(near, axis, start)
        watched = _watched(rest, sparse, axis, start, valid, not labels.has_regions)
        counted = None if valid is None else valid[cut]
        calibration.add((one[cut] for one in watched), _masks(own[cut], labels, order), counted)
    every = {**calibration.of, **({} if calibration.most_likely is None else {MOST_LIKELY: calibration.most_likely})}
    of_label = {
        name: {"voxel_brier": c.brier, "voxel_ece": c.bins.error, "voxel_auroc": c.auroc}
        for name, c in calibration.of.items()
    }
    values = {n: {m: v for m, v in found.items() if m in measures.metrics} for n, found in of_label.items()}
    return Probed(values, {n: c.bins for n, c in every.items()}, _candidates(sparse, true, labels, measures))


def _masks(outer: NDArray[Any], labels: Labels, order: Sequence[str]) -> Iterator[NDArray[np.bool_]]:
    """Where each label is, in an order of their names."""
    for name in order:
        yield np.isin(outer, labels.foreground[labels.names.index(name)].values)


def _candidates(
    sparse: Mapping[str, SparseMap], true: NDArray[Any], labels: Labels, measures: Measures
) -> dict[str, CaseCandidates]:
    """The candidates of every label; nothing where no maps were gathered."""
    found = {}
    rule = MatchRule(measures.match, measures.match_iou)
    for name, mask in labels.masks(true):
        if name in sparse:
            found[name] = case_candidates(*sparse[name].with_truth(mask), rule, measures.confidence)
    return found


def _near(
    true: NDArray[Any], labels: Labels, margin: float | None, spacing: Sequence[float]
) -> tuple[slice, ...] | None:
    """The box around all labels of a truth, grown by a margin in mm; None for the whole image, empty without any label."""
    if margin is None:
        return None
    box = bounding_box(np.isin(true, labels.atoms))
    if box is None:
        return (slice(0, 0),) * 3
    more = [math.ceil(margin / mm) for mm in spacing]
    return tuple(slice(max(0, s.start - n), s.stop + n) for s, n in zip(box, more, strict=True))


def _cut(near: tuple[slice, ...] | None, axis: int, start: int) -> tuple[slice, ...]:
    """The box within planes that begin at ``start`` and come first."""
    if near is None:
        return (slice(None),) * 3
    ends = (max(0, near[axis].start - start), max(0, near[axis].stop - start))
    return (slice(*ends), *(s for n, s in enumerate(near) if n != axis))


def _peeked(maps: Iterable[NDArray[Any]]) -> tuple[NDArray[Any], Iterator[NDArray[Any]]]:
    """The first map, and all of them."""
    rest = iter(maps)
    first = np.asarray(next(rest))
    return first, chain([first], map(np.asarray, rest))


def _watched(
    maps: Iterator[NDArray[Any]],
    sparse: Mapping[str, SparseMap],
    axis: int,
    start: int,
    valid: NDArray[np.bool_] | None,
    background: bool,
) -> Iterator[NDArray[Any]]:
    """The same maps; what can be part of a candidate is gathered as they pass."""
    into = iter([*([None] if background else []), *sparse.values()])
    for one in maps:
        if sparse and (own := next(into)) is not None:
            own.add(axis, start, one if valid is None else np.where(valid, one, 0))
        yield one


@dataclass
class ProbeTable:
    """What was measured of the probabilities of many cases."""

    bins: list[tuple[str, str, str, Bins]] = field(default_factory=list)
    detection: DetectionTable = field(default_factory=DetectionTable)

    def add(self, case: str, patient: str, probed: Probed) -> None:
        """Add one case."""
        self.bins += [(case, patient, label, bins) for label, bins in probed.bins.items()]
        self.detection.rows += [DetectionRow(case, patient, n, found) for n, found in probed.candidates.items()]

    def extend(self, other: ProbeTable) -> None:
        """Add the cases of another table."""
        self.bins += other.bins
        self.detection.rows += other.detection.rows

    def pooled(self) -> dict[str, Bins]:
        """Label -> its voxels of all cases by their probability."""
        found: dict[str, Bins] = {}
        for _, _, label, bins in self.bins:
            found[label] = found.get(label, NO_VOXELS).with_more(bins)
        return found

    def summary(self) -> dict[str, Any]:
        """``calibration``: per label, and for the most likely label, the figures of the cases' calibration errors (``ece``) and the
        pooled diagram; ``froc``: per label, see ``voxloom.evaluation.detection``."""
        calibration = {}
        for label, pooled in self.pooled().items():
            rows = [(patient, bins.error) for _, patient, name, bins in self.bins if name == label]
            ece = summarize([error for _, error in rows], [patient for patient, _ in rows], SHARE)
            shares = [
                (None, None) if not n else (s / n, r / n)
                for n, s, r in zip(pooled.voxels, pooled.sums, pooled.right, strict=True)
            ]
            calibration[label] = {
                "ece": ece,
                "voxels": list(pooled.voxels),
                "probability": [p for p, _ in shares],
                "right": [r for _, r in shares],
            }
        found: dict[str, Any] = {"calibration": calibration} if calibration else {}
        return found | ({"froc": self.detection.summary()} if self.detection.rows else {})

    def write(self, folder: Path) -> list[Path]:
        """Write ``reliability.csv`` and ``candidates.csv`` where there is something to write; those of an earlier evaluation go."""
        for name in (RELIABILITY, CANDIDATES):
            (folder / name).unlink(missing_ok=True)
        wrote = []
        if self.bins:
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(_COLUMNS)
            for case, patient, label, bins in self.bins:
                for n in range(BINS):
                    counts = [bins.voxels[n], f"{bins.sums[n]:.9g}", bins.right[n]]
                    writer.writerow([case, patient, label, n, *counts])
            wrote.append(folder / RELIABILITY)
            write_text(wrote[-1], text.getvalue())
        if self.detection.rows:
            wrote.append(self.detection.write_csv(folder / CANDIDATES))
        return wrote

    @classmethod
    def read(cls, folder: Path) -> ProbeTable | None:
        """The tables of a folder; None where there are none."""
        bins, candidates = folder / RELIABILITY, folder / CANDIDATES
        if not bins.is_file() and not candidates.is_file():
            return None
        detection = DetectionTable.read_csv(candidates) if candidates.is_file() else DetectionTable()
        return cls(list(_read_bins(bins)) if bins.is_file() else [], detection)


def _read_bins(path: Path) -> Iterator[tuple[str, str, str, Bins]]:
    found: dict[tuple[str, str, str], list[tuple[int, float, int]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as f:
            for line in csv.DictReader(f):
                row = found.setdefault((line["case"], line["patient"], line["label"]), [])
                row.append((int(line["voxels"]), float(line["probabilities"]), int(line["right"])))
    except (KeyError, ValueError, TypeError) as error:
        raise BadInput(f"not a table of reliability ({error})", path, "Evaluate the run again") from error
    for (case, patient, label), rows in found.items():
        voxels, sums, right = zip(*rows, strict=True)
        yield case, patient, label, Bins(voxels, sums, right)
