"""``rank``: order unlabelled scans for annotation.

Knows a run's networks, scans without labels, and ``rank.csv``. How uncertainty and diversity are weighed is in
``voxloom.evaluation.ranking``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.crew import map_with
from voxloom.dataset.tables import write_table
from voxloom.errors import BadInput, VoxloomError
from voxloom.evaluation.quality.features import DISAGREEMENT
from voxloom.evaluation.ranking import Choice, choose, distances, uncertainty_ranks
from voxloom.files import sha256_file
from voxloom.inference.needs import needs_of
from voxloom.progress import Progress
from voxloom.run.run import Run
from voxloom.run.scans import Scan, read_scan
from voxloom.tasks.segmentation.features import scan_features
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.trust.sampling import Sampling
from voxloom.trust.uncertainty import check_sources, scan_disagreement

COLUMNS = ("rank", "case", "score", "uncertainty", "distance", "nearest", *DISAGREEMENT, "members", "reason")


@dataclass(frozen=True)
class Candidate:
    """One scan that might be annotated.

    Parameters
    ----------
    figures : of the members' disagreement.
    features : what the scan looks like to the first network, one row of numbers.
    members : how many disagreed.
    """

    scan: Scan
    figures: dict[str, float]
    features: NDArray[np.float32]
    members: int


def rank_scans(
    predictor: Predictor,
    scans: Sequence[Scan],
    sampling: Sampling,
    *,
    most: int | None = None,
    diversity: float = 0.5,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Rows of ``rank.csv``, the scan to annotate first at the top.

    Parameters
    ----------
    scans : without labels.
    sampling : where the members come from.
    most : rows; None ranks all.
    diversity : weight of being unlike the scans chosen before, 0 to 1.

    Raises
    ------
    BadInput : there is no scan, or the sources do not fit the run.
    """
    if not scans:
        raise BadInput("no scan to rank that the run does not know", None, "Name a folder of scans without labels")
    check_sources([predictor], sampling)
    candidates = []
    look, items = partial(look_at, sampling), [(scan.name, scan) for scan in scans]
    for _, outcome in map_with(
        predictor, look, items, step="looking at", needs=partial(needs_of, predictor), progress=progress
    ):
        if isinstance(outcome, VoxloomError):
            raise outcome
        candidates.append(outcome)
    disagree = [-np.array([c.figures["pairwise_dice"] for c in candidates])]
    doubts = [np.array([c.figures[name] for c in candidates]) for name in ("entropy", "mutual_information")]
    uncertainty = uncertainty_ranks([*disagree, *doubts])
    apart = distances(np.stack([c.features for c in candidates]))
    chosen = choose(uncertainty, apart, len(scans) if most is None else most, diversity)
    return [_row(n, choice, candidates, uncertainty) for n, choice in enumerate(chosen, start=1)]


def look_at(sampling: Sampling, predictor: Predictor, scan: Scan) -> Candidate:
    """Uncertainty and features of one scan."""
    volume = read_scan(scan)
    with scan_disagreement([predictor], volume, sampling) as (found, count):
        figures = found.figures()
    return Candidate(scan, figures, scan_features(predictor, volume), count)


def without_known(run: Run, scans: Sequence[Scan]) -> tuple[list[Scan], list[str]]:
    """The scans that are not cases of the run, and the names of those that are (same file content)."""
    known = {digest for case in run.data["cases"] for digest in case["files"].values()}
    seen = [s.name for s in scans if any(sha256_file(p) in known for p in s.files)]
    return [scan for scan in scans if scan.name not in seen], seen


def write_rank(rows: Sequence[dict[str, Any]], path: Path) -> Path:
    """Write ``rank.csv``."""
    return write_table(path, COLUMNS, rows)


def _row(
    number: int, choice: Choice, candidates: Sequence[Candidate], uncertainty: NDArray[np.float64]
) -> dict[str, Any]:
    candidate = candidates[choice.index]
    place = 1 + int((uncertainty > uncertainty[choice.index]).sum())
    nearest = None if choice.nearest is None else candidates[choice.nearest].scan.name
    return {
        "rank": number,
        "case": candidate.scan.name,
        "score": choice.score,
        "uncertainty": float(uncertainty[choice.index]),
        "distance": choice.distance,
        "nearest": nearest,
        **{name: candidate.figures[name] for name in DISAGREEMENT},
        "members": candidate.members,
        "reason": _reason(place, len(candidates), candidate.figures["pairwise_dice"], choice.distance, nearest),
    }


def _reason(place: int, count: int, dice: float, distance: float | None, nearest: str | None) -> str:
    """Why a scan stands where it does, in words."""
    first = f"{place} of {count} by uncertainty (members agree with Dice {dice:.2f})"
    if distance is None:
        return first
    return f"{first}; {100 * distance:.0f} % of the largest distance from {nearest}, the most alike of those above"
