"""How networks are asked, as people ask for it. Knows no network, and imports none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voxloom.evaluation.measures import Measures


@dataclass(frozen=True)
class Wish:
    """How networks are asked; what a task has no use for it refuses.

    Parameters
    ----------
    device : "auto", "cpu" or "cuda".
    tta, seed : average over the views that training showed, some of them drawn.
    abstain : leave out answers of less confidence, instead of the recipe's threshold.
    measures : what is measured of label maps, instead of what the recipe says; asked only of a task that can "evaluate --metrics".
    """

    device: str = "auto"
    tta: bool = False
    seed: int = 0
    abstain: float | None = None
    measures: Measures | None = None


PLAIN = Wish()
