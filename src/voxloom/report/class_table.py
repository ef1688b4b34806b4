"""Figures of classes and of numbers as tables for the screen and the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

#: Metric -> its name in a table, in this order.
METRICS = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "precision",
    "f1": "F1",
    "average_precision": "average precision",
    "mcc": "MCC",
    "brier": "Brier score",
    "ece": "calibration error",
}


def number_text(figures: Mapping[str, Any], digits: int = 3) -> str:
    """Value and interval; the value alone where no interval is known."""
    value, (low, high) = figures["value"], figures["ci"]
    if value is None or math.isnan(float(value)):
        return "not defined"
    text = f"{float(value):.{digits}f}"
    known = all(isinstance(v, (int, float)) and not math.isnan(v) for v in (low, high))
    return f"{text} [{low:.{digits}f}, {high:.{digits}f}]" if known else text


def class_rows(summary: Mapping[str, Any] | None) -> list[list[str]]:
    """A row per metric and class or finding; with two classes the questions of one class are asked of the positive one."""
    head = [["metric", "class", "value [95 % CI]"]]
    if not summary:
        return head
    classes = summary["findings"] if "findings" in summary else summary["confusion"]["classes"]
    two, rows = len(classes) == 2 and "findings" not in summary, []
    for metric, title in METRICS.items():
        for label, figures in summary[metric].items():
            if two and label == classes[0]:
                continue
            shown = classes[-1] if label == "all" and metric == "auc" and two else label
            rows.append([title, shown, number_text(figures)])
    return head + rows


def target_rows(summary: Mapping[str, Any] | None) -> list[list[str]]:
    """A row per target."""
    head = [["target", "n", "MAE [95 % CI]", "RMSE", "R2", "bias", "MAE of always saying the mean"]]
    rows = [
        [
            name,
            str(f["n"]),
            number_text(f["mae"], 2),
            f"{f['rmse']['value']:.2f}",
            f"{f['r2']['value']:.3f}",
            f"{f['bias']['value']:+.2f}",
            f"{f['mae_of_mean']:.2f}",
        ]
        for name, f in (summary or {}).get("targets", {}).items()
    ]
    return head + rows
