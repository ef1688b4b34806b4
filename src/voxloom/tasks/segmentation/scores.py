"""The score of a segmentation run, by the name that a sweep gives it. Knows ``summary.json`` of such runs."""

from __future__ import annotations

from typing import Any

from voxloom.errors import BadInput
from voxloom.evaluation.scores import split_score
from voxloom.tasks.scoring import held_out


def read_scores(summary: dict[str, Any], score: str) -> dict[str, float | None]:
    """The compared score and, of the same metric, SDs over cases and folds and the mean of every label.

    Raises
    ------
    BadInput : the run held out no case, or has no such metric, label or figure.
    """
    validation = held_out(summary)
    metric, rest = split_score(score)
    label, figure = (*rest.split("."), "")[:2]
    by_label = validation.get(metric) if isinstance(validation.get(metric), dict) else None
    if by_label is None:
        metrics = [
            name for name, value in validation.items() if isinstance(value, dict) and name not in ("kinds", "failed")
        ]
        raise BadInput(f"there is no metric `{metric}`", None, f"There are {', '.join(metrics)}")
    label = label or ("mean" if "mean" in by_label else next(iter(by_label)))
    if label not in by_label or (figure or "mean") not in by_label[label]:
        raise BadInput(f"`{metric}` has no `{label}.{figure or 'mean'}`", None, f"There are {', '.join(by_label)}")
    folds = validation.get("robustness", {}).get(label, {}) if metric == "dice" else {}
    found = {"score": by_label[label][figure or "mean"], "sd_cases": by_label[label]["sd"]}
    found |= {"sd_folds": folds["sd_folds"]} if folds else {}
    return found | {f"{metric}.{name}": figures["mean"] for name, figures in by_label.items()}
