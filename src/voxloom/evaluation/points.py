"""Landmarks scored by distance: |dx|, in-plane and 3D millimetres, recall, and what went wrong with the others.

After Lamerigts (2017), section 7.1.2. A missed landmark has no distance and is counted: it stays in the recall, which is over
all true landmarks. Several true marks of one landmark are compared by their mean. Knows points; no scan, no file format but its
own table.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.evaluation.losses import CaseLoss
from voxloom.files import write_text
from voxloom.points import Key, Point, centers

Outcome = Literal["found", "missed", "shifted", "invented"]


@dataclass(frozen=True)
class PointRow:
    """One landmark of one case.

    Parameters
    ----------
    case, name, side : which.
    outcome : "found"; "missed": no prediction; "shifted": a wrong level, the prediction lies nearer to another true landmark of its
        side, or to the place one step beyond the ends of the row; "invented": predicted, but not in the truth.
    dx : distance across the slices in mm (``slice_normal``), or along the patient's left-right axis where no scan is known; NaN where
        there is none.
    in_plane, distance : in the slice, and in 3D, in mm.
    confidence : of the prediction, NaN where it has none.
    """

    case: str
    name: str
    side: str
    outcome: Outcome
    dx: float
    in_plane: float
    distance: float
    confidence: float = math.nan

    def within(self, mm: float, *, in_plane: bool = True) -> bool:
        """Whether the prediction lies within ``mm`` of the truth, in the slice (as published) or in 3D."""
        return self.outcome in ("found", "shifted") and (self.in_plane if in_plane else self.distance) <= mm


#: Voxels whose sides differ by less are cubes, and their scans have no slices.
_CUBE = 1.2


def slice_axis(affine: NDArray[np.float64]) -> int:
    """The voxel axis across the slices of a scan: that of the largest spacing; of cubes the one nearest to left-right."""
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if lengths.max() < _CUBE * lengths.min():
        return int(np.argmax(np.abs(affine[0, :3] / lengths)))
    return int(lengths.argmax())


def slice_normal(affine: NDArray[np.float64]) -> tuple[float, float, float]:
    """The direction across the slices of a scan, RAS, of length 1; the patient's left-right axis where voxels are cubes.

    The one definition of "across the slices" and "in the slice": ``voxloom evaluate`` and ``voxloom points`` both measure along it.

    Parameters
    ----------
    affine : (4, 4) voxel index to RAS mm.
    """
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if lengths.max() < _CUBE * lengths.min():
        return (1.0, 0.0, 0.0)
    axis = slice_axis(affine)
    x, y, z = (float(v) for v in affine[:3, axis] / lengths[axis])
    return (x, y, z)


def score_points(
    case: str, predicted: Iterable[Point], truth: Iterable[Point], normal: Sequence[float] = (1.0, 0.0, 0.0)
) -> list[PointRow]:
    """Rows of one case: one per true landmark, and one per landmark that was invented.

    Parameters
    ----------
    predicted, truth : in RAS mm; marks of one landmark are averaged.
    normal : direction across the slices, RAS (``slice_normal``); the patient's left-right axis where no scan is known.
    """
    found, true = centers(predicted), centers(truth)
    unit = np.asarray(normal, dtype=float) / np.linalg.norm(normal)
    rows = []
    for key, place in true.items():
        guess = found.get(key)
        if guess is None:
            rows.append(PointRow(case, key.name, key.side, "missed", math.nan, math.nan, math.nan))
            continue
        step = np.subtract(guess.position, place.position)
        dx, distance = abs(float(step @ unit)), float(np.linalg.norm(step))
        others = other_places(true, key)
        nearest = min((float(np.linalg.norm(np.subtract(guess.position, p))) for p in others), default=math.inf)
        outcome: Outcome = "shifted" if nearest < distance else "found"
        plane = math.sqrt(max(0.0, distance**2 - dx**2))
        sure = math.nan if guess.confidence is None else guess.confidence
        rows.append(PointRow(case, key.name, key.side, outcome, dx, plane, distance, sure))
    for key, guess in found.items():
        if key not in true:
            sure = math.nan if guess.confidence is None else guess.confidence
            rows.append(PointRow(case, key.name, key.side, "invented", math.nan, math.nan, math.nan, sure))
    return rows


def other_places(true: Mapping[Key, Point], key: Key) -> list[Sequence[float]]:
    """Where a wrong level would lie: the other landmarks of the same side, and one step above the first and below the last of them.

    A step is the way from its neighbor to the end of the row, so that an L1 at the place of T12 is a wrong level too.
    """
    row = sorted((p.position for k, p in true.items() if k.side == key.side), key=lambda place: -place[2])
    beyond = [] if len(row) < 2 else [np.subtract(2 * np.array(a), b) for a, b in (row[:2], row[:-3:-1])]
    own = true[key].position
    return [*(place for place in row if place != own), *(place.tolist() for place in beyond)]


class PointEvaluation:
    """Rows of many cases and what they come to.

    Parameters
    ----------
    within : mm within which a point counts as right.
    """

    def __init__(self, rows: Iterable[PointRow] = (), *, within: float = 5.0) -> None:
        self.rows, self.within = list(rows), within

    def losses(self) -> list[CaseLoss]:
        """Mean distance in mm per case over the true landmarks with a point, cases with the most missed ones first."""
        found = []
        for case in self.cases:
            own = [row for row in self.rows if row.case == case]
            apart = [row.distance for row in own if not math.isnan(row.distance)]
            missed = sum(row.outcome == "missed" for row in own)
            mean = float(np.mean(apart)) if apart else math.inf
            told = f"{mean:.1f} mm, {missed} missed" if apart else f"all {missed} missed"
            found.append((missed, CaseLoss(case, case, f"{len(own)} landmarks", told, mean)))
        return [loss for _, loss in sorted(found, key=lambda one: (-one[0], -one[1].loss))]

    def add(self, rows: Iterable[PointRow]) -> None:
        """Add the rows of a case."""
        self.rows.extend(rows)

    def extend(self, other: PointEvaluation) -> None:
        """Add all rows of another evaluation."""
        self.rows.extend(other.rows)

    @property
    def cases(self) -> list[str]:
        """Cases in order of first occurrence."""
        return list(dict.fromkeys(row.case for row in self.rows))

    @property
    def names(self) -> list[str]:
        """Levels in order of first occurrence."""
        return list(dict.fromkeys(row.name for row in self.rows))

    def summary(self) -> dict[str, Any]:
        """Figures over all landmarks (``all``) and per level, as plain numbers.

        ``points`` true landmarks; ``found``, ``missed``, ``shifted``, ``invented`` counts; ``recall`` within reach in the slice and
        ``recall_3d``; mean and median of |dx|, in-plane and 3D distance over the points that were predicted; ``shifted_cases`` and
        ``invented_cases`` count scans.
        """
        levels = {name: _figures([r for r in self.rows if r.name == name], self.within) for name in self.names}
        return {
            "cases": len(self.cases),
            "within_mm": self.within,
            "all": _figures(self.rows, self.within),
            "levels": levels,
            "shifted_cases": len({row.case for row in self.rows if row.outcome == "shifted"}),
            "invented_cases": len({row.case for row in self.rows if row.outcome == "invented"}),
        }

    def write_csv(self, path: str | Path) -> Path:
        """Write one row per landmark."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([f.name for f in fields(PointRow)])
        for row in self.rows:
            writer.writerow([f"{v:.4f}" if isinstance(v, float) else v for v in asdict(row).values()])
        write_text(path, text.getvalue())
        return Path(path)

    @classmethod
    def read_csv(cls, path: str | Path, *, within: float = 5.0) -> PointEvaluation:
        """The inverse of ``write_csv`` (BadInput for another table)."""
        try:
            with Path(path).open(encoding="utf-8", newline="") as f:
                rows = [_row(values) for values in csv.DictReader(f)]
        except (OSError, KeyError, ValueError) as e:
            raise BadInput(f"is not a table of scored points ({e})", path, "Evaluate the run again") from e
        return cls(rows, within=within)


def _row(values: dict[str, str]) -> PointRow:
    numbers = {name: float(values[name]) for name in ("dx", "in_plane", "distance", "confidence")}
    return PointRow(values["case"], values["name"], values["side"], values["outcome"], **numbers)  # type: ignore[arg-type]


def _figures(rows: Sequence[PointRow], within: float) -> dict[str, Any]:
    true = [row for row in rows if row.outcome != "invented"]
    placed = [row for row in true if row.outcome != "missed"]
    counts = {kind: sum(row.outcome == kind for row in rows) for kind in ("found", "missed", "shifted", "invented")}
    figures: dict[str, Any] = {"points": len(true), **counts}
    for name, in_plane in (("recall", True), ("recall_3d", False)):
        hits = sum(row.within(within, in_plane=in_plane) for row in true)
        figures[name] = hits / len(true) if true else math.nan
    for name in ("dx", "in_plane", "distance"):
        values = [getattr(row, name) for row in placed]
        figures[f"{name}_mean"] = float(np.mean(values)) if values else math.nan
        figures[f"{name}_median"] = float(np.median(values)) if values else math.nan
    return figures
