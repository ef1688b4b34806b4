"""Cases with a target: what a column says of a case, and the numbers that stand beside the image.

Knows columns and attributes. What targets mean is the task's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset import Case, Dataset
from voxloom.dataset.tables import name_some
from voxloom.errors import BadInput
from voxloom.tasks.values import Material

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class WholeCaseMaterial(Material):
    """Cases, their target vectors, and how covariates are scaled.

    Parameters
    ----------
    targets : by case id, as the task's loss takes them.
    covariates : column -> (mean, sd) over the training cases.
    meaning : what the task needs to read and write targets again; JSON-able.
    notes : what was left out, and why.
    """

    targets: Mapping[str, Vector] = field(kw_only=True)
    covariates: Mapping[str, tuple[float, float]] = field(kw_only=True, default_factory=dict)
    meaning: Any = field(kw_only=True)
    notes: tuple[str, ...] = field(kw_only=True, default=())

    def numbers(self, case: Case) -> Vector:
        """Scaled covariates of a case; 0 (the mean) where one is unknown."""
        return scaled(case.attributes, self.covariates)


def value_of(case: Case, column: str | None) -> Any:
    """The target of a case, or a column of it; None where there is none."""
    if column is None:
        return case.target
    found = case.attributes.get(column)
    if found is None and column in ("target", "class", "label"):
        found = case.target
    return None if found is None or (isinstance(found, float) and math.isnan(found)) or found == "" else found


def columns_of(dataset: Dataset, wanted: Sequence[str]) -> tuple[str | None, ...]:
    """The target columns; ``(None,)`` stands for the data set's own target.

    Raises
    ------
    BadInput : a column is not there, or nothing is named and the data set has no target.
    """
    known = sorted({name for case in dataset for name in case.attributes})
    own = any(case.target is not None for case in dataset)
    if not wanted:
        if not own:
            fix = f"Name one: target: COLUMN. There are {name_some(known)}" if known else "Add a column `target`"
            raise BadInput("no column `target` says what is to be learned", dataset.root, fix)
        return (None,)
    missing = [name for name in wanted if name not in known and not (own and name in ("target", "class", "label"))]
    if missing:
        raise BadInput(f"there is no column {missing[0]}", dataset.root, f"There are {name_some(known)}")
    return tuple(wanted)


def number_of(value: Any, case: str, column: str | None, where: Any) -> float:
    """A number (BadInput for text)."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        what = f"case {case}: {column or 'target'} is {value!r}, not a number"
        raise BadInput(what, where, "Correct the cell, or train classes: --set task=classification") from None
    if math.isinf(number):
        raise BadInput(f"case {case}: {column or 'target'} is infinite", where, "Correct the cell")
    return number


def scales_of(cases: Sequence[Case], columns: Sequence[str], where: Any) -> dict[str, tuple[float, float]]:
    """Mean and SD of numeric columns over the cases (BadInput for text)."""
    found = {}
    for name in columns:
        values = [number_of(v, c.id, name, where) for c in cases if (v := value_of(c, name)) is not None]
        if not values:
            raise BadInput(f"no case has a value in column {name}", where, "Leave it out of covariates")
        found[name] = (float(np.mean(values)), float(np.std(values)) or 1.0)
    return found


def scaled(attributes: Mapping[str, Any], scales: Mapping[str, tuple[float, float]]) -> Vector:
    """Attributes in SDs from the mean; 0 where one is unknown."""
    numbers = []
    for name, (mean, sd) in scales.items():
        value = attributes.get(name)
        numbers.append(0.0 if value in (None, "") else (float(value) - mean) / sd)
    return np.array(numbers, dtype=np.float32)
