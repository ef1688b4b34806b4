"""What a sweep varies: factors with levels, or ranges of numbers.

Knows how a factor is written in YAML and which recipe keys a draw changes. Does not know how draws are chosen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from voxloom.errors import BadInput
from voxloom.recipe.keys import as_bad_input
from voxloom.recipe.recipe import Recipe

#: Recipe keys and their new values.
Changes = dict[str, Any]
#: Factor -> name of its level, or a number of its range.
Levels = dict[str, Any]


class Range(BaseModel):
    """Numbers between two bounds; whole numbers when both bounds and the step are whole.

    Parameters
    ----------
    low, high : bounds, both possible.
    log : draw evenly over the logarithm.
    step : distance of the possible values from ``low`` on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float | int
    high: float | int
    log: bool = False
    step: float | int | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs a low above 0, and no step")
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return all(isinstance(n, int) for n in (self.low, self.high, 1 if self.step is None else self.step))


@dataclass(frozen=True)
class Factor:
    """One thing that is varied.

    Parameters
    ----------
    name : a recipe key, or any name where every level names its keys.
    levels : name of the level -> recipe keys that it changes; empty for a range.
    range : numbers of the recipe key ``name``.
    """

    name: str
    levels: dict[str, Changes] = field(default_factory=dict)
    range: Range | None = None

    def changes(self, level: Any) -> Changes:
        """The recipe keys that a level changes."""
        return {self.name: level} if self.range is not None else dict(self.levels[level])

    @property
    def keys(self) -> set[str]:
        """Every recipe key that some level changes."""
        return {self.name} if self.range is not None else {key for level in self.levels.values() for key in level}

    @property
    def extremes(self) -> list[Any]:
        """The levels that are checked before anything starts: all, or the bounds of a range."""
        return [self.range.low, self.range.high] if self.range is not None else list(self.levels)


def parse_factor(name: str, given: Any, where: str | Path) -> Factor:
    """A factor from YAML: a list of values, ``{low, high}`` of a range, or ``{level: {key: value}}``.

    Raises
    ------
    BadInput : it is none of these, has no level, or two levels of one name.
    """
    place = f"{where}: over.{name}"
    if isinstance(given, list) and given:
        named = [(level_name(value), {name: value}) for value in given]
        if len({text for text, _ in named}) < len(named):
            raise BadInput("a value is listed twice", place, "List every value once")
        return Factor(name, dict(named))
    if isinstance(given, Mapping) and {"low", "high"} <= set(given):
        try:
            return Factor(name, range=Range.model_validate(dict(given)))
        except ValidationError as error:
            raise as_bad_input(error, f"over.{name}", where) from error
    if isinstance(given, Mapping) and given and all(v is None or isinstance(v, Mapping) for v in given.values()):
        return Factor(name, {level_name(level): dict(keys or {}) for level, keys in given.items()})
    raise BadInput("is not a factor", place, "Write [a, b], {low: 1, high: 9} or {level: {recipe.key: value}}")


def level_name(value: Any) -> str:
    """A short text for a value: ``true``, ``0.5``, ``[1,2,3]``."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), default=str)


def check_factors(factors: Iterable[Factor], recipe: Recipe, where: str | Path) -> None:
    """Try every level on the recipe.

    Raises
    ------
    BadInput : the recipe refuses a key (the nearest right one is suggested) or a value, or two factors change one key.
    """
    owner: dict[str, str] = {}
    for factor in factors:
        for key in sorted(factor.keys):
            if key in owner:
                raise BadInput(f"`{owner[key]}` and `{factor.name}` both change {key}", where, "Vary it in one of them")
            owner[key] = factor.name
        for level in factor.extremes:
            try:
                recipe.changed(factor.changes(level))
            except BadInput as error:
                raise BadInput(error.what, f"{where}: over.{factor.name}", error.fix) from error
