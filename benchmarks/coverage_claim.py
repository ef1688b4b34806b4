"""What a claim of docs/trust.md is, and the simulated patients that claims share. Run by ``coverage.py``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

Random = np.random.Generator
#: What was asked -> whether the interval held the truth, the test rejected, or the promise was kept; None where it was refused.
Found = Mapping[str, bool | None]
#: One study of some patients with some scans each.
Study = Callable[[Random, int, int], Found]


@dataclass(frozen=True)
class Claim:
    """Something that a command prints.

    Parameters
    ----------
    kind : "interval" of a figure, "test", or "promise" of what is new: a patient, or a study that is planned.
    where : the commands that print it.
    study : simulates one.
    at_least : an interval of counts, which can hold the truth more often than 98 % and be right.
    slow : fewer studies are simulated (``coverage.SLOW``).
    level : of the interval, of the test, or the chance that is promised.
    """

    kind: Literal["interval", "test", "promise"]
    where: str
    study: Study
    at_least: bool = False
    slow: bool = False
    level: float = 0.95

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and largest rate that keep the claim: 3 points about an interval's level, at most 1.5 points above a test's."""
        if self.kind == "test":
            return 0.0, 1 - self.level + 0.015
        if self.kind == "promise":
            return self.level, 1.0
        return self.level - 0.03, 1.0 if self.at_least else self.level + 0.03


def held(interval: object, truth: float) -> bool | None:
    low, high = (interval.low, interval.high) if hasattr(interval, "low") else interval  # type: ignore[misc]
    return None if math.isnan(low) or math.isnan(high) else bool(low <= truth <= high)


def rejected(p: float) -> bool | None:
    return None if math.isnan(p) else bool(p < 0.05)


def patients_of(count: int, scans: int) -> list[int]:
    return np.repeat(np.arange(count), scans).tolist()


def clustered(random: Random, count: int, scans: int, between: float = 0.8, within: float = 0.6) -> np.ndarray:
    """Normal values; those of a patient are alike. Variance ``between``² + ``within``²."""
    return np.repeat(random.normal(0, between, count), scans) + random.normal(0, within, count * scans)
