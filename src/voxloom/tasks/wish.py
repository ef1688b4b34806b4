"""How networks are asked, as people ask for it. Knows no network, and imports none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wish:
    """How networks are asked; what a task has no use for it refuses.

    Parameters
    ----------
    device : "auto", "cpu" or "cuda".
    tta, seed : average over the views that training showed, some of them drawn.
    abstain : leave out answers of less confidence, instead of the recipe's threshold.
    """

    device: str = "auto"
    tta: bool = False
    seed: int = 0
    abstain: float | None = None


PLAIN = Wish()
