"""The section on sources of a run's page: Dice, Jaccard and Hausdorff distance for each data set, site or scanner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from voxloom.evaluation import Evaluation
from voxloom.evaluation.units import distance_unit
from voxloom.report.parts import Part, number, picture, table_of
from voxloom.report.plots import violin_with_points

#: Attribute columns that say where a scan comes from, in any case and with any separators.
SOURCES = frozenset(
    (
        "source", "site", "center", "centre", "hospital", "institution", "database", "repository", "cohort", "dataset", "study",
        "scanner", "vendor", "manufacturer", "manufacturersmodelname", "fieldstrength", "magneticfieldstrength",
    )
)  # fmt: skip
#: A column with more different values than this is not a source.
_MOST = 12


def source_columns(records: Mapping[str, Mapping[str, Any]], cases: list[str]) -> dict[str, dict[str, str]]:
    """Column -> case -> value, of the columns that name sources, where there are two values or more."""
    found: dict[str, dict[str, str]] = {}
    for case in cases:
        record = records.get(case, {})
        named = {k: v for k, v in (record.get("attributes") or {}).items() if _plain(k) in SOURCES}
        for name, value in {**({"data set": record["origin"]} if "origin" in record else {}), **named}.items():
            found.setdefault(name, {})[case] = str(value)
    return {name: values for name, values in found.items() if 2 <= len(set(values.values())) <= _MOST}


def source_parts(name: str, evaluation: Evaluation, records: Mapping[str, Mapping[str, Any]]) -> Iterator[Part]:
    """A table and a violin per source, as Kaliyugarasan et al. (NIK 2020) show them (table 2, figure 4): means over labels per case.

    Parameters
    ----------
    name : of the cases, for the title.
    records : of the run, by case.
    """
    scores = {metric: evaluation.case_means(metric) for metric in ("dice", "iou", "hd")}
    for column, values in source_columns(records, evaluation.cases).items():
        groups = {
            value: [c for c in evaluation.cases if values.get(c) == value] for value in sorted(set(values.values()))
        }
        rows = [
            [value, len(cases), *(_mean_sd([scores[m][c] for c in cases], 1 if m == "hd" else 3) for m in scores)]
            for value, cases in groups.items()
        ]
        head = [
            column,
            "Cases",
            "Dice, mean (SD)",
            "Jaccard, mean (SD)",
            f"HD {distance_unit(evaluation.unit)}, mean (SD)",
        ]
        dice = {f"{value} ({len(cases)})": [scores["dice"][c] for c in cases] for value, cases in groups.items()}
        least = min(min(numbers) for numbers in dice.values())
        figure = violin_with_points(dice, "Dice", limits=(max(0.0, 0.98 * least - 0.02), 1.0))
        text = (
            "Mean over labels per case. Means of distances leave out cases where one mask is empty, which are counted."
        )
        yield Part(f"{name}: by {column}", text, table_of(head, rows), [picture(figure, f"Dice by {column}")])


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _mean_sd(values: list[float], digits: int) -> str:
    finite = [v for v in values if np.isfinite(v)]
    if not finite:
        return "infinite"
    sd = float(np.std(finite, ddof=1)) if len(finite) > 1 else 0.0
    lost = f", {len(values) - len(finite)} infinite" if len(finite) < len(values) else ""
    return f"{number(float(np.mean(finite)), digits)} ({number(sd, digits)}){lost}"
