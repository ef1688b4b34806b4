"""What the process with the networks can be asked for. Imports no network: these values travel to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxloom.trust.sampling import Sampling
from voxloom.verbs.options import PredictOptions


@dataclass(frozen=True)
class Order:
    """Predict scans.

    Parameters
    ----------
    run : name of a run that the engine knows.
    inputs : files, DICOM folders, or folders of files.
    out : folder of the results; made.
    options : as of ``voxloom.verbs.predict.predict``; the engine's device holds where they say "auto".
    unsure : also map the uncertainty, with the members that the run has (``options.uncertainty`` names others).
    """

    run: str
    inputs: tuple[Path, ...]
    out: Path
    options: PredictOptions = field(default_factory=PredictOptions)
    unsure: bool = False
    kind = "predict"


@dataclass(frozen=True)
class RankOrder:
    """Order scans without labels for annotation, as ``voxloom rank`` does.

    Parameters
    ----------
    scans : (case, files of its channels); the case's id stands in the table.
    out : the table ``rank.csv``.
    sampling : members; None takes those that the run has.
    diversity : weight of being unlike the scans above, 0 to 1.
    """

    run: str
    scans: tuple[tuple[str, tuple[Path, ...]], ...]
    out: Path
    sampling: Sampling | None = None
    diversity: float = 0.5
    kind = "rank"


@dataclass(frozen=True)
class ExplainOrder:
    """Draw where in a scan the reason of the answer lies (Grad-CAM), as ``voxloom explain`` does."""

    run: str
    inputs: tuple[Path, ...]
    out: Path
    kind = "explain"


@dataclass(frozen=True)
class WarmOrder:
    """Open the networks of a run before anybody asks for a prediction."""

    run: str
    kind = "warm"


AnyOrder = Order | RankOrder | ExplainOrder | WarmOrder


def about_of(order: AnyOrder) -> dict[str, Any]:
    """What a job tells of its order: no path."""
    return {"run": order.run}
