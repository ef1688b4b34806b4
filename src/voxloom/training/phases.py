"""The phases of a training: a frozen encoder first, small patches first, each with a schedule of its own.

A pure function of progress, so that a resumed run continues in the same phase. Knows no network.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field


class Phase(BaseModel):
    """One step of a training; recipe key ``training.phases`` lists them.

    Parameters
    ----------
    share : of all optimiser steps, in proportion to the other phases' shares.
    frozen : whether the encoder keeps its weights and its norms' statistics.
    scale : resolution of the patches, as a share of the full one; the field of view stays.
    rate : factor of ``training.learning_rate``.
    discriminative : of this phase, in the place of ``training.discriminative``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(1.0, gt=0)
    frozen: bool = False
    scale: float = Field(1.0, gt=0, le=1)
    rate: float = Field(1.0, gt=0)
    discriminative: float | None = Field(None, gt=0, le=1)


#: A training without phases.
WHOLE = Phase()


def phase_at(phases: Sequence[Phase], progress: float) -> tuple[Phase, float]:
    """The phase at ``progress`` of the whole training, and the progress within it; both progresses in [0, 1]."""
    if not phases:
        return WHOLE, progress
    total = sum(phase.share for phase in phases)
    start = 0.0
    for phase in phases[:-1]:
        end = start + phase.share / total
        if progress < end - 1e-9:
            return phase, max(0.0, (progress - start) / (end - start))
        start = end
    return phases[-1], min(1.0, max(0.0, (progress - start) / (1.0 - start)))
