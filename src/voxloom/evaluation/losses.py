"""How wrong a case was, in one number: what lists of top losses are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class CaseLoss:
    """One case.

    Parameters
    ----------
    truth, answer : in words.
    loss : cross-entropy of the true class (nats), absolute error in the unit of the target, 1 - mean Dice, or mean distance in mm.
    right : whether the answer is the true class; None where answers are not right or wrong.
    confidence : probability of the answer; NaN where there is none.
    """

    case: str
    patient: str
    truth: str
    answer: str
    loss: float
    right: bool | None = None
    confidence: float = float("nan")


def worst_first(losses: Iterable[CaseLoss]) -> list[CaseLoss]:
    """The largest loss first; equal ones in their order."""
    return sorted(losses, key=lambda one: -one.loss)
