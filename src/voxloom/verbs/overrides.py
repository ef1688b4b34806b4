"""What the caller of a training asks for in the place of a recipe's own keys. One place for the command line and Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxloom.recipe.recipe import Recipe


@dataclass(frozen=True)
class Overrides:
    """Settings that go before those of a recipe; None, or no data set, leaves the recipe's.

    Parameters
    ----------
    budget : training time of all folds together ("90s", "10m", "2h", "1d").
    folds : number of folds, or an nnU-Net ``splits_final.json``.
    seed, device : as in a recipe.
    add, external : data sets to train on too, and data sets that are kept wholly apart.
    """

    budget: str | None = None
    folds: int | str | Path | None = None
    seed: int | None = None
    device: str | None = None
    add: Sequence[str | Path] = ()
    external: Sequence[str | Path] = ()

    def applied(self, recipe: Recipe) -> Recipe:
        """The recipe with them (BadInput where one is no value of its key)."""
        values: dict[str, Any] = {
            "budget": self.budget,
            **self._folds(),
            "seed": self.seed,
            "device": self.device,
            "data.add": [str(path) for path in self.add] or None,
            "data.external": [str(path) for path in self.external] or None,
        }
        return recipe.changed({key: value for key, value in values.items() if value is not None})

    def _folds(self) -> dict[str, int | str | None]:
        return {"folds.file": str(self.folds)} if isinstance(self.folds, (str, Path)) else {"folds.count": self.folds}
