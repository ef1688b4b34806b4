"""Which settings of a random search mattered: a linear regression of the score on everything that was varied.

After Lamerigts (2017), section 7.4.2. Knows rows of plain values, not where they come from. A rough guide, as the author says: it
sees neither interactions nor curves.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.evaluation.statistics import holm, regression

TableRow = Mapping[str, Any]


@dataclass(frozen=True)
class Weight:
    """What one factor does to the score, all others held fixed.

    Parameters
    ----------
    factor : its column, ``log10(column)``, or ``column = level`` for words, against the first level in the alphabet.
    coefficient : change of the score per unit of the factor.
    error : standard error of the coefficient.
    standardized : change of the score per SD (n - 1) of the factor, so that factors can be compared.
    p, p_holm : two-sided p-value of "the coefficient is 0", raw and Holm-corrected over all factors.
    """

    factor: str
    coefficient: float
    error: float
    standardized: float
    p: float
    p_holm: float


@dataclass(frozen=True)
class Importance:
    """A fitted regression, the weightiest factor first.

    Parameters
    ----------
    score : the column that is explained.
    runs, missing : rows with the score, and without it (failed runs), which are left out.
    r2 : share of the score's variance that the factors explain.
    weights : one per factor, or per level of a factor of words.
    constant : factors that never varied and so cannot be judged.
    f_p : p-value of all factors together (F test).
    """

    score: str
    runs: int
    missing: int
    r2: float
    weights: tuple[Weight, ...]
    constant: tuple[str, ...]
    f_p: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def importance(
    rows: Sequence[TableRow],
    factors: Sequence[str],
    score: str,
    *,
    log: Collection[str] = (),
    where: str | Path | None = None,
) -> Importance:
    """Regress ``score`` on all ``factors`` at once.

    Parameters
    ----------
    rows : one per run: column -> value. A factor whose values are all numbers is a number, any other has levels.
    log : factors of positive numbers that enter as log10, such as a learning rate.
    where : the table's file, named in errors.

    Raises
    ------
    BadInput : a column is not there, a logarithm of something that is not a positive number, fewer runs than can be explained, or
        factors that cannot be told apart because they vary together.
    """
    columns = {name for row in rows for name in row}
    if absent := [name for name in (score, *factors, *log) if name not in columns]:
        raise BadInput(f"there is no column `{absent[0]}`", where, f"There are {', '.join(sorted(columns))}")
    scored = [row for row in rows if _number(row.get(score)) is not None]
    y = np.array([_number(row.get(score)) for row in scored], dtype=float)
    design, constant = _design(scored, factors, frozenset(log), where)
    if len(y) < len(design) + 3:
        raise BadInput(
            f"{len(y)} runs with a score cannot explain {len(design)} weights",
            where,
            "Run more trials, or name fewer factors",
        )
    if not design:
        return Importance(score, len(y), len(rows) - len(y), 0.0, (), constant, math.nan)
    try:
        fitted = regression(y, design)
    except BadInput as error:
        raise BadInput(
            f"some factors vary together and cannot be told apart ({error.what})", where, "Name fewer factors"
        ) from error
    terms = fitted.terms[1:]
    corrected = holm([term.p for term in terms])
    weights = []
    for term, p_holm in zip(terms, corrected, strict=True):
        spread, value = float(np.std(design[term.name], ddof=1)), term.estimate.value
        weights.append(Weight(term.name, value, term.error, value * spread, term.p, p_holm))
    ordered = tuple(sorted(weights, key=lambda w: -abs(w.standardized)))
    return Importance(score, len(y), len(rows) - len(y), fitted.r_squared, ordered, constant, fitted.f_p)


def best_rows(rows: Sequence[TableRow], score: str, count: int, *, largest: bool = True) -> list[TableRow]:
    """The ``count`` rows with the best score, best first; rows without one are left out."""
    scored = [(value, row) for row in rows if (value := _number(row.get(score))) is not None]
    return [row for _, row in sorted(scored, key=lambda item: -item[0] if largest else item[0])[:count]]


def _design(
    rows: Sequence[TableRow], factors: Sequence[str], log: frozenset[str], where: Any
) -> tuple[dict[str, NDArray[np.float64]], tuple[str, ...]]:
    """Columns of the regression by name, and the factors that never vary."""
    design: dict[str, NDArray[np.float64]] = {}
    constant = []
    for name in factors:
        values = [row.get(name, "") for row in rows]
        numbers = [_number(value) for value in values]
        if len({str(value) for value in values}) < 2:
            constant.append(name)
        elif name in log:
            if any(n is None or n <= 0 for n in numbers):
                raise BadInput(f"`{name}` holds values without a logarithm", where, "Take it out of --log")
            design[f"log10({name})"] = np.log10(np.array(numbers, dtype=float))
        elif None not in numbers:
            design[name] = np.array(numbers, dtype=float)
        else:
            levels = [str(value) for value in values]
            design |= {
                f"{name} = {level}": np.array([float(own == level) for own in levels])
                for level in sorted(set(levels))[1:]
            }
    return design, tuple(constant)


def _number(value: Any) -> float | None:
    """A finite number, or None for anything else; truth values are words."""
    if value is None or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None
