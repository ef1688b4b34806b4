"""Dice and the other metrics of a summary as tables for the screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def dice_rows(validation: Mapping[str, Any]) -> list[list[str]]:
    """Rows of label, cases, mean, confidence interval, SD over cases and over folds, with a header row, for the screen."""
    spread = validation.get("robustness", {})
    rows = [["label", "cases", "mean Dice", "95 % CI", "SD", *(["SD of folds"] if spread else [])]]
    for label, figures in validation.get("dice", {}).items():
        low, high = figures["ci"]
        row = [label, str(figures["n"]), f"{figures['mean']:.4f}", f"{low:.4f} to {high:.4f}", f"{figures['sd']:.4f}"]
        rows.append([*row, *([f"{spread[label]['sd_folds']:.4f}"] if spread else [])])
    return rows


def metric_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """A table for the screen: a row per label; infinite distances are shown and counted."""
    lines = [
        ["label", "Dice mean [95 % CI]", "median", "SD", "HD95 mm", "ASSD mm", "volume error ml", "one mask empty"]
    ]
    for label, dice in summary["dice"].items():
        hd, assd, error = (summary[m][label] for m in ("hd95", "assd", "volume_error_ml"))
        kinds = summary["kinds"].get(label, {})
        lines.append(
            [
                label,
                f"{dice['mean']:.4f} [{dice['ci'][0]:.4f}, {dice['ci'][1]:.4f}]",
                f"{dice['median']:.4f}",
                f"{dice['sd']:.4f}",
                f"{hd['mean']:.2f}",
                f"{assd['mean']:.2f}",
                f"{error['mean']:+.3f}",
                str(kinds.get("truth_empty", 0) + kinds.get("prediction_empty", 0)) if kinds else "",
            ]
        )
    return lines
