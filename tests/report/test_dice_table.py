"""The table for the screen shows distances as the report does: medians, since one missed structure makes a mean infinite."""

from __future__ import annotations

from typing import Any

from voxloom.report.dice_table import metric_rows


def figures(median: float, mean: float) -> dict[str, Any]:
    return {"a": {"median": median, "mean": mean, "sd": 0.1, "ci": [0.7, 0.9], "n": 6}}


def test_distances_are_medians_and_say_so() -> None:
    summary = {
        "dice": figures(0.8, 0.75), "hd95": figures(2.5, float("inf")), "assd": figures(1.25, float("inf")),
        "volume_error_ml": figures(0.2, 0.4), "kinds": {"a": {"prediction_empty": 1}},
    }  # fmt: skip
    head, row = metric_rows(summary)
    told = dict(zip(head, row, strict=True))
    assert (told["HD95 mm (median)"], told["ASSD mm (median)"]) == ("2.50", "1.25")
    assert told["volume error ml"] == "+0.400"
    assert told["one mask empty"] == "1"
