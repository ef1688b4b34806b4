"""Learning rates as functions of progress in [0, 1], so that a time budget can stretch or shorten any of them.

One-cycle after Smith and Topin 2018, polynomial after Chen et al. 2017 (power 0.9, as nnU-Net), flat-cosine as in
fastai. Knows no optimizer and no number of steps.
"""

from __future__ import annotations

import math

#: Share of the run in which one-cycle warms up, and where flat-cosine begins to fall.
WARM_UP, FALL = 0.15, 0.75
#: First and last learning rate of one-cycle, as shares of the peak.
FIRST, LAST = 1 / 25, 1e-4


def one_cycle(progress: float) -> float:
    """Cosine up to 1 over the warm-up, cosine down to almost 0 over the rest."""
    if progress < WARM_UP:
        return _cosine(FIRST, 1.0, progress / WARM_UP)
    return _cosine(1.0, LAST, (progress - WARM_UP) / (1 - WARM_UP))


def poly(progress: float) -> float:
    """(1 - progress) to the power of 0.9."""
    return float((1.0 - progress) ** 0.9)


def flat_cosine(progress: float) -> float:
    """1 for the first 75 %, then a cosine down to almost 0."""
    return 1.0 if progress < FALL else _cosine(1.0, LAST, (progress - FALL) / (1 - FALL))


def constant(progress: float) -> float:
    """1 throughout."""
    return 1.0


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


SCHEDULES = {"one_cycle": one_cycle, "poly": poly, "flat_cosine": flat_cosine, "constant": constant}


def lr_at(schedule: str, progress: float) -> float:
    """Factor of the peak learning rate at ``progress``: 0 at the start, 1 at the end; beyond both it stays.

    Raises
    ------
    ValueError : unknown schedule.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"unknown schedule {schedule!r}: {', '.join(SCHEDULES)}")
    return SCHEDULES[schedule](min(max(progress, 0.0), 1.0))
