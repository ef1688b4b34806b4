"""Two runs, or two annotators, on the same landmarks; how far confidence can be trusted.

Knows scored points and points. The comparison follows Lamerigts (2017), section 7.1.3, who took landmarks as independent; here those
of a patient count together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.evaluation.points import PointEvaluation, slice_axis
from voxloom.evaluation.statistics.significance import McNemar, mcnemar
from voxloom.points import Key, Point, centers, marks_by_key


def compare_points(
    a: PointEvaluation,
    b: PointEvaluation,
    *,
    within: float | None = None,
    in_plane: bool = True,
    patients: Mapping[str, str] | None = None,
) -> McNemar:
    """The exact McNemar test on "within reach" of every true landmark; the landmarks of a patient count together.

    Parameters
    ----------
    patients : case -> patient; a case without one is a patient of its own.

    Raises
    ------
    BadInput : the two were not scored on the same landmarks.
    """
    reach = a.within if within is None else within
    right = []
    for evaluation in (a, b):
        rows = [row for row in evaluation.rows if row.outcome != "invented"]
        right.append({(r.case, r.name, r.side): r.within(reach, in_plane=in_plane) for r in rows})
    if differing := set(right[0]) ^ set(right[1]):
        case, name, side = sorted(differing)[0]
        raise BadInput(
            f"{len(differing)} landmarks were scored in one of the two only, {name} {side} of {case} among them",
            None,
            "Evaluate both on the same data set",
        )
    keys = list(right[0])
    whose = [(patients or {}).get(case, case) for case, _, _ in keys]
    return mcnemar([right[0][k] for k in keys], [right[1][k] for k in keys], groups=whose)


@dataclass(frozen=True)
class PairTest:
    """The McNemar test of one pair of several runs, and its p-value after Holm's correction over all pairs."""

    a: str
    b: str
    test: McNemar
    p_holm: float


def all_pairs(
    scored: Mapping[str, PointEvaluation], *, within: float | None = None, patients: Mapping[str, str] | None = None
) -> list[PairTest]:
    """The exact McNemar test of every pair of runs on "within reach", the most alike first (Lamerigts 2017, table B.2).

    Raises BadInput when two were not scored on the same landmarks.
    """
    from voxloom.evaluation.statistics import holm

    pairs = list(itertools.combinations(scored, 2))
    tests = [compare_points(scored[a], scored[b], within=within, patients=patients) for a, b in pairs]
    corrected = holm([test.p for test in tests])
    found = [PairTest(a, b, test, float(p)) for (a, b), test, p in zip(pairs, tests, corrected, strict=True)]
    return sorted(found, key=lambda pair: -pair.test.p)


#: The smallest slope of a calibration: surer points stay surer, whatever few held-out points say.
LEAST_SLOPE = 0.05


@dataclass(frozen=True)
class Calibration:
    """From a raw confidence to the chance that a point is right: 1 / (1 + exp(-(slope logit(c) + offset))) (Platt 1999)."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, confidence: float) -> float:
        """The chance, 0 to 1."""
        clipped = min(max(confidence, 1e-4), 1 - 1e-4)
        z = self.slope * math.log(clipped / (1 - clipped)) + self.offset
        return 1 / (1 + math.exp(-min(max(z, -50.0), 50.0)))


def calibrate(confidences: Sequence[float], right: Sequence[bool]) -> Calibration:
    """Fit a calibration on held-out points, with Platt's targets, which keep few points from claiming certainty.

    The order of confidences always stays: the slope is at least ``LEAST_SLOPE``, and 1 where all points are right or all wrong, since
    such points say how often to trust the network but not whether surer points are better. Without a confidence, or with fewer
    than two, the identity.
    """
    from scipy.optimize import minimize

    pairs = [(c, ok) for c, ok in zip(confidences, right, strict=True) if math.isfinite(c)]
    if len(pairs) < 2:
        return Calibration()
    c = np.clip([c for c, _ in pairs], 1e-4, 1 - 1e-4)
    ok = np.array([float(ok) for _, ok in pairs])
    x, positive = np.log(c / (1 - c)), float(ok.sum())
    target = np.where(ok > 0, (positive + 1) / (positive + 2), 1 / (len(ok) - positive + 2))

    def loss(parameters: NDArray[np.float64]) -> float:
        z = parameters[0] * x + parameters[1]
        return float((np.logaddexp(0, z) - target * z).sum() + 1e-3 * parameters[0] ** 2)

    slopes = (1.0, 1.0) if ok.min() == ok.max() else (LEAST_SLOPE, None)
    found = minimize(loss, np.array([1.0, 0.0]), bounds=[slopes, (None, None)]).x
    return Calibration(float(found[0]), float(found[1]))


def compare_annotators(
    a: Mapping[str, Iterable[Point]], b: Mapping[str, Iterable[Point]], slices: Mapping[str, NDArray[np.float64]]
) -> list[dict[str, Any]]:
    """Per case and landmark: distance of the two centers in mm, slices that both marked, and who marked nothing.

    Parameters
    ----------
    a, b : marks of the two annotators by case.
    slices : per case the (4, 4) affine of the scan, for the slices (``slice_axis`` runs across them).

    Returns
    -------
    Rows with case, name, side, distance (NaN where one is missing), slices_a, slices_b, slices_both, overlap (both of all marked
    slices, Jaccard) and missing ("", "a" or "b").
    """
    rows = []
    for case in dict.fromkeys([*a, *b]):
        first, second = marks_by_key(a.get(case, ())), marks_by_key(b.get(case, ()))
        for key in dict.fromkeys([*first, *second]):
            rows.append(_pair(case, key, first.get(key, []), second.get(key, []), slices[case]))
    return rows


def annotator_figures(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Per landmark what the rows of ``compare_annotators`` come to.

    Returns
    -------
    Rows with name, side, cases, mean_mm, largest_mm and mean overlap of slices where both marked it (NaN where nobody did), how often
    they marked no common slice, and how often it is missing in A and in B.
    """
    found = []
    for name, side in dict.fromkeys((row["name"], row["side"]) for row in rows):
        own = [row for row in rows if (row["name"], row["side"]) == (name, side)]
        both = [row for row in own if not row["missing"]]
        far = [row["distance"] for row in both] or [math.nan]
        shared = [row["overlap"] for row in both] or [math.nan]
        found.append(
            {
                "name": name,
                "side": side,
                "cases": len(own),
                "mean_mm": float(np.mean(far)),
                "largest_mm": float(np.max(far)),
                "overlap": float(np.mean(shared)),
                "no_common_slice": sum(row["slices_both"] == 0 for row in both),
                "missing_a": sum(row["missing"] == "a" for row in own),
                "missing_b": sum(row["missing"] == "b" for row in own),
            }
        )
    return found


def _pair(case: str, key: Key, a: list[Point], b: list[Point], affine: NDArray[np.float64]) -> dict[str, Any]:
    marked = [slices_of(marks, affine) for marks in (a, b)]
    both, either = marked[0] & marked[1], marked[0] | marked[1]
    distance = math.nan
    if a and b:
        distance = float(np.linalg.norm(np.subtract(centers(a)[key].position, centers(b)[key].position)))
    return {
        "case": case,
        "name": key.name,
        "side": key.side,
        "distance": distance,
        "slices_a": len(marked[0]),
        "slices_b": len(marked[1]),
        "slices_both": len(both),
        "overlap": len(both) / len(either),
        "missing": "" if a and b else ("b" if a else "a"),
    }


def slices_of(marks: Iterable[Point], affine: NDArray[np.float64]) -> set[int]:
    """Numbers of the slices on which marks lie, along ``slice_axis``."""
    axis = slice_axis(affine)
    inverse = np.linalg.inv(affine)
    return {round(float((inverse @ np.array([*mark.position, 1.0]))[axis])) for mark in marks}
