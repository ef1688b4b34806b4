"""Every score that runs are compared by: its unit, and whether large or small values are good. The one place that knows.

Knows the names of ``metrics.csv``, of the summaries of label maps and of landmarks, and of ``log.csv``. Computes nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voxloom.errors import BadInput
from voxloom.evaluation.further import FURTHER, further_named, own_in
from voxloom.evaluation.measures import PROBABLE
from voxloom.evaluation.metrics import METRICS

Goal = Literal["max", "min"]


@dataclass(frozen=True)
class Score:
    """One score.

    Parameters
    ----------
    name : as tables have it.
    unit : "" for shares and counts.
    goal : "max" where large values are good, "min" where small ones are, None where neither is.
    """

    name: str
    unit: str
    goal: Goal | None


def _scores(unit: str, goal: Goal | None, *names: str) -> dict[str, Score]:
    return {name: Score(name, unit, goal) for name in names}


#: Of label maps, in the order of ``metrics.csv``.
MASK_SCORES: dict[str, Score] = {
    **_scores("", "max", "dice", "iou", "precision", "recall"),
    **_scores("mm", "min", "hd", "hd95", "assd"),
    **_scores("ml", None, "volume_ml_prediction", "volume_ml_truth", "volume_error_ml"),
    **_scores("", None, "objects_prediction", "objects_truth"),
}
assert tuple(MASK_SCORES) == METRICS, "every metric has a unit and a direction"
#: Those that have to be asked for, and stand in tables only then.
ASKED: dict[str, Score] = {
    **{name: Score(name, metric.unit, metric.goal) for name, metric in FURTHER.items()},
    **{name: Score(name, metric.unit, metric.goal) for name, metric in PROBABLE.items()},
}
MASK_SCORES |= ASKED

#: Figures over cases that a metric has (``voxloom.evaluation.summary``); None: as good as the metric itself.
FIGURES: dict[str, Goal | Literal["none"] | None] = {
    **dict.fromkeys(("mean", "finite_mean", "median", "q1", "q3", "min", "max"), None),
    **dict.fromkeys(("sd", "infinite", "undefined"), "min"),
    "n": "none",
}

#: Of landmarks, over all of them or of one level (``voxloom.evaluation.points``).
POINT_SCORES: dict[str, Score] = {
    **_scores("", "max", "recall", "recall_3d", "found"),
    **_scores("", "min", "missed", "shifted", "invented"),
    **_scores("", None, "points"),
    **_scores(
        "mm", "min", *(f"{name}_{kind}" for name in ("dx", "in_plane", "distance") for kind in ("mean", "median"))
    ),
}

#: Of classes (``voxloom.evaluation.classification``) and of numbers (``voxloom.evaluation.regression``).
CLASS_SCORES: dict[str, Score] = {
    **_scores("", "max", "auc", "accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision", "f1"),
    **_scores("", "max", "average_precision", "mcc"),
    **_scores("", "min", "brier", "ece"),
}
NUMBER_SCORES: dict[str, Score] = {
    **_scores("", "min", "mae", "rmse"),
    **_scores("", "max", "r2"),
    **_scores("", None, "bias"),
}

#: Losses, in ``log.csv``; and columns that tables of runs have beside their scores.
LOSSES = ("train_loss", "val_loss")
_FURTHER: dict[str, Score] = {**_scores("", "min", *LOSSES, "sd_cases", "sd_folds"), **_scores("s", "min", "seconds")}


def asked_in(names: Iterable[str]) -> list[str]:
    """The metrics among names that somebody asked for: Voxloom's in their own order, then those of other packages."""
    given = list(names)
    return [*(name for name in ASKED if name in given), *own_in(given)]


def asked_score(name: str) -> Score:
    """Unit and direction of a metric that somebody asked for."""
    if name in ASKED:
        return ASKED[name]
    metric = further_named(name)
    return Score(name, metric.unit, metric.goal)


def split_score(name: str) -> tuple[str, str]:
    """``metric`` and what follows its first dot; the dots of ``package.module:METRIC`` are its own."""
    place, colon, rest = name.rpartition(":")
    metric, _, further = rest.partition(".")
    return f"{place}{colon}{metric}", further


def score_of(name: str) -> Score | None:
    """The score that a column or key means; None for a name that is not known.

    Parameters
    ----------
    name : ``metric``, ``metric.label``, ``metric.label.figure``, ``figure.level``, also with ``test.`` before it; or a column of
        ``log.csv``.
    """
    plain = name.removeprefix("test.")
    if plain in _FURTHER:
        return _FURTHER[plain]
    if plain.startswith("val_"):  # val_dice, val_dice_<label>: a label may be called anything, "loss" too
        every = (MASK_SCORES, POINT_SCORES, CLASS_SCORES, NUMBER_SCORES)
        return next((s for known in every for s in known.values() if _logged(plain, s.name)), None)
    metric, rest = split_score(plain)
    for known in (POINT_SCORES, CLASS_SCORES, NUMBER_SCORES):
        if metric in known and metric not in MASK_SCORES:
            return known[metric]
    if metric not in MASK_SCORES and not own_in([metric]):
        return None
    own = MASK_SCORES[metric] if metric in MASK_SCORES else asked_score(metric)
    figure = rest.rpartition(".")[2] if "." in rest else ""
    how = FIGURES.get(figure)
    if how is None:
        return own
    return Score(plain, own.unit if figure == "sd" else "", "min" if how == "min" else None)


def _logged(column: str, score: str) -> bool:
    return column == f"val_{score}" or column.startswith(f"val_{score}_")


def goal_of(name: str, given: Goal | None = None, where: str | Path | None = None) -> Goal | None:
    """Whether large or small values of a score are good.

    Parameters
    ----------
    given : what the user says.
    where : named in errors.

    Returns
    -------
    The score's own goal; ``given`` for a name that is not known.

    Raises
    ------
    BadInput : ``given`` contradicts the score, or neither large nor small values of it are good.
    """
    score = score_of(name)
    if score is None:
        return given
    if score.goal is None:
        near = "0" if name.removeprefix("test.").startswith("volume_error_ml") else "no particular value"
        raise BadInput(
            f"neither large nor small values of `{name}` are good (best is {near})", where, "Choose another score"
        )
    if given is not None and given != score.goal:
        word = "large" if score.goal == "max" else "small"
        raise BadInput(f"goal {given} does not fit `{name}`: {word} values are good", where, "Leave the goal out")
    return score.goal


def check_score(name: str, known: Collection[str], where: str | Path | None = None) -> None:
    """Refuse a score whose metric is none of ``known``, or whose figure does not exist (BadInput with the nearest right one)."""
    metric, rest = split_score(name)
    if metric not in known and not own_in([metric]):
        raise BadInput(f"there is no score `{metric}`", where, _nearest(metric, known))
    figure = rest.rpartition(".")[2] if "." in rest else ""
    if figure and metric in MASK_SCORES and figure not in FIGURES:
        raise BadInput(f"`{name}` ends in no figure over cases", where, f"There are {', '.join(FIGURES)}")


def _nearest(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean `{close[0]}`?" if close else f"There are {', '.join(known)}"
