"""The section on post-processing of a run's page: the same cases before and after it, side by side, and objects per case."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxloom.evaluation import Evaluation, Row
from voxloom.evaluation.units import distance_unit
from voxloom.report.parts import Part, number, picture, table_of
from voxloom.report.style import ALERT, MARK, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Labels that are drawn.
_DRAWN = 4


def raw_part(name: str, evaluation: Evaluation) -> Part | None:
    """Dice, Hausdorff distance and objects before and after post-processing; None where there was none.

    The columns are those of Kaliyugarasan et al. (fastMONAI thesis, paper E, table 1) and the objects per patient of Hodneland et al.
    (2022, figure 4).
    """
    before = evaluation.before
    if before is None:
        return None
    mm = distance_unit(evaluation.unit)
    head = [
        "Label", "Cases", "raw Dice", "post-processed Dice", f"raw HD {mm}", f"post-processed HD {mm}", "one mask empty, raw / after",
        "objects per case, raw", "after", "truth",
    ]  # fmt: skip
    rows: list[list[object]] = []
    pictures: list[dict[str, str]] = []
    for label in evaluation.labels:
        own = [[r for r in table.rows if r.label == label] for table in (before, evaluation)]
        scores = [_spread([getattr(r.metrics, m) for r in rs]) for m in ("dice", "hd") for rs in own]
        lost = " / ".join(str(sum(not np.isfinite(r.metrics.hd) for r in rs)) for rs in own)
        counts = [objects(rs, "prediction") for rs in own]
        rows.append([label, len(own[1]), *scores, lost, *map(_counts, [*counts, objects(own[1], "truth")])])
        if len(pictures) < _DRAWN:
            pictures.append(picture(object_histogram(*counts), f"Objects of {label} per case"))
    text = (
        "Mean ± SD over cases, of Hausdorff distances (HD) over those where both masks hold something. Objects: connected pieces (26 "
        "neighbors) per case, median (lowest to highest). On the held-out cases post-processing was chosen by these very figures."
    )
    return Part(f"{name}: before and after post-processing", text, table_of(head, rows), pictures)


def objects(rows: list[Row], side: str) -> list[int]:
    """Connected pieces per case; none where an earlier version did not count."""
    values = [getattr(row.metrics, f"objects_{side}") for row in rows]
    return [int(v) for v in values if np.isfinite(v)]


def object_histogram(before: list[int], after: list[int]) -> Figure:
    """How many cases have how many objects, before and after post-processing."""
    figure = new_figure(4.6, 2.8)
    axes = figure.subplots()
    bins = (np.arange(max([1, *before, *after]) + 2) - 0.5).tolist()
    axes.hist(before, bins=bins, color=MARK, alpha=0.55, label="raw")
    axes.hist(after, bins=bins, color=ALERT, histtype="step", linewidth=1.6, label="post-processed")
    axes.set(xlabel="objects per case", ylabel="cases")
    axes.legend(fontsize=8, frameon=False)
    tidy(axes)
    return figure


def _spread(values: list[float]) -> str:
    finite = [v for v in values if np.isfinite(v)]
    if not finite:
        return "–"
    return f"{number(float(np.mean(finite)))} ± {number(float(np.std(finite, ddof=1)) if len(finite) > 1 else 0.0)}"


def _counts(values: list[int]) -> str:
    return f"{np.median(values):g} ({min(values)} to {max(values)})" if values else "–"
