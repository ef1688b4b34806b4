"""Dice and the other metrics of a summary as tables for the screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxloom.evaluation.scores import asked_in, asked_score
from voxloom.evaluation.statistics import interval_text
from voxloom.evaluation.units import distance_unit, named, unit_of, volume_unit


def dice_rows(validation: Mapping[str, Any]) -> list[list[str]]:
    """Rows of label, cases, mean, confidence interval, SD over cases and over folds, with a header row, for the screen."""
    spread = validation.get("robustness", {})
    rows = [["label", "cases", "mean Dice", "95 % CI", "SD", *(["SD of folds"] if spread else [])]]
    for label, figures in validation.get("dice", {}).items():
        ends = interval_text(figures["ci"], 4, " to ")
        row = [label, str(figures["n"]), f"{figures['mean']:.4f}", ends, f"{figures['sd']:.4f}"]
        rows.append([*row, *([f"{spread[label]['sd_folds']:.4f}"] if spread else [])])
    return rows


def metric_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """A table for the screen: a row per label.

    Distances are medians, as in the report: one missed structure makes a mean infinite. Missed ones are counted.
    """
    unit = unit_of(summary)
    mm, ml = distance_unit(unit), volume_unit(unit)
    further = asked_in(summary)
    lines = [
        [
            "label",
            "Dice mean [95 % CI]",
            "median",
            "SD",
            f"HD95 {mm} (median)",
            f"ASSD {mm} (median)",
            f"volume error {ml}",
            "one mask empty",
            *(f"{name} {asked_score(name).unit}".strip() for name in further),
        ]
    ]
    for label, dice in summary["dice"].items():
        names = (("hd95", "median"), ("assd", "median"), (named("volume_error_ml", unit), "mean"))
        shown = [summary[name][label][what] if label in summary[name] else None for name, what in names]
        kinds = summary["kinds"].get(label, {})
        lines.append(
            [
                label,
                f"{dice['mean']:.4f} [{interval_text(dice['ci'], 4)}]",
                f"{dice['median']:.4f}",
                f"{dice['sd']:.4f}",
                *("" if v is None else f"{v:{how}}" for v, how in zip(shown, (".2f", ".2f", "+.3f"), strict=True)),
                str(kinds.get("truth_empty", 0) + kinds.get("prediction_empty", 0)) if kinds else "",
                *(f"{summary[name][label]['mean']:.3f}" if label in summary[name] else "" for name in further),
            ]
        )
    return lines
