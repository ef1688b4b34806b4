"""Uncertainty of scans as files: maps on each scan's own grid, and a row of figures per scan.

Knows how the files are named and ``uncertainty.csv``. Which members there are is in ``uncertainty``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.crew import map_with
from voxloom.dataset.tables import write_table
from voxloom.errors import VoxloomError
from voxloom.evaluation.quality.features import DISAGREEMENT
from voxloom.formats import write_volume
from voxloom.inference.disagreement import Disagreement
from voxloom.inference.needs import needs_of
from voxloom.progress import Progress
from voxloom.run.scans import Scan, read_scan
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.trust.sampling import Sampling
from voxloom.trust.uncertainty import scan_disagreement
from voxloom.volume import Volume

#: Maps that are written, by the ending of their names.
MAPS = ("spread", "entropy", "mutual_information")
_WRITABLE = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Where the members of a prediction disagree.

    Parameters
    ----------
    spread, entropy, mutual_information : (1, I, J, K) float32 on the scan's own grid, see ``voxloom.inference.disagreement``.
    figures : of the whole scan, as in ``uncertainty.csv``.
    """

    spread: Volume
    entropy: Volume
    mutual_information: Volume
    figures: dict[str, Any]


def scan_uncertainty(predictors: Sequence[Predictor], volume: Volume, sampling: Sampling) -> Uncertainty:
    """Maps and figures of one scan (C, I, J, K); refuses what ``write_uncertainties`` refuses."""
    with scan_disagreement(predictors, volume, sampling) as (found, count):
        maps = {name: map_of(found, name, volume) for name in MAPS}
        figures = figures_of(found, sampling, count)
    return Uncertainty(**maps, figures=figures)


def members_of(predictor: Any) -> list[Predictor]:
    """The predictors of a run, or of the members of an ensemble that speak of its labels."""
    return [predictor] if isinstance(predictor, Predictor) else list(predictor.deciding)


def figure_columns(labels: Sequence[str]) -> list[str]:
    """Columns of ``uncertainty.csv``."""
    return ["case", "sources", "members", "seed", *DISAGREEMENT, *(f"pairwise_dice_{label}" for label in labels)]


def write_uncertainties(
    predictor: Any,
    scans: Sequence[Scan],
    out: Path,
    sampling: Sampling,
    *,
    resample_tilt: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Write ``NAME_spread``, ``NAME_entropy`` and ``NAME_mutual_information`` of every scan, and ``uncertainty.csv``.

    Parameters
    ----------
    out : folder; made.

    Returns
    -------
    The files, the table last.

    Raises
    ------
    BadInput : the sources give one member only, networks lack dropout, or a scan does not fit.
    """
    predictors = members_of(predictor)
    written: list[Path] = []
    rows = []
    work, items = ScanMaps(out, sampling, resample_tilt), [(scan.name, scan) for scan in scans]
    for _, outcome in map_with(
        predictors, work.write, items, step="measuring", needs=partial(needs_of, predictor), progress=progress
    ):
        if isinstance(outcome, VoxloomError):
            raise outcome
        paths, row = outcome
        written += paths
        rows.append(row)
    return [*written, write_table(out / "uncertainty.csv", figure_columns(predictors[0].labels.names), rows)]


@dataclass(frozen=True)
class ScanMaps:
    """How the maps of each of many scans are made, here or on another machine; see ``write_uncertainties``."""

    out: Path
    sampling: Sampling
    resample_tilt: bool

    def write(self, predictors: Sequence[Predictor], scan: Scan) -> tuple[list[Path], dict[str, Any]]:
        """The files and the row of one scan."""
        written, volume = [], read_scan(scan, self.resample_tilt)
        with scan_disagreement(predictors, volume, self.sampling) as (found, count):
            ending = scan.ending if scan.ending in _WRITABLE else ".nii.gz"
            for name in MAPS:  # one at a time in memory
                path = self.out / f"{scan.name}_{name}{ending}"
                written.append(write_volume(map_of(found, name, volume), path))
            figures = figures_of(found, self.sampling, count)
        return written, {"case": scan.name, **figures}


def map_of(found: Disagreement, name: str, volume: Volume) -> Volume:
    """One map of ``MAPS`` on the grid of the scan, (1, I, J, K)."""
    return Volume(np.array(getattr(found, name), np.float32)[None], volume.affine, dict(volume.meta))


def figures_of(found: Disagreement, sampling: Sampling, count: int) -> dict[str, Any]:
    """A row of ``uncertainty.csv`` without the name of the case."""
    return {**about(sampling, count), **found.figures(), **per_label(found.pairwise_dice)}


def about(sampling: Sampling, count: int) -> dict[str, Any]:
    """Where the members of a row come from."""
    return {"sources": "+".join(sampling.sources), "members": count, "seed": sampling.seed}


def per_label(pairs: dict[str, list[float]]) -> dict[str, float]:
    """Mean pairwise Dice of every label."""
    return {f"pairwise_dice_{label}": float(np.mean(values)) for label, values in pairs.items()}
