"""How tables of predicted numbers are compared: errors paired by case, R2 by resampling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.errors import BadInput
from voxloom.evaluation.paired import Drawn, Paired, pair_cases
from voxloom.evaluation.regression import NumberEvaluation, NumberRow, r_squared, rmse
from voxloom.evaluation.scores import NUMBER_SCORES, Score
from voxloom.evaluation.statistics import jackknife, swapped

_OVERALL = {"rmse": rmse, "r2": r_squared}


class NumberComparison:
    """See :class:`voxloom.evaluation.paired.Comparison`."""

    default = case_default = "mae"
    metrics: Mapping[str, Score] = {name: score for name, score in NUMBER_SCORES.items() if score.goal is not None}
    text = (
        "Difference: run minus reference, paired by case; interval over patients. p: for the mean absolute error the "
        "Wilcoxon signed-rank test of the patients' mean differences (effect: matched-pairs rank-biserial correlation), for other "
        "figures a randomisation test that exchanges the two runs' answers patient by patient (effect: the difference); "
        "Holm-corrected over all rows."
    )

    def holds(self, columns: Sequence[str]) -> bool:
        """Whether there are targets."""
        return "target" in columns and "prediction" in columns

    def read(self, paths: Sequence[Path]) -> NumberEvaluation:
        """The rows of all files."""
        return NumberEvaluation([row for path in paths for row in NumberEvaluation.read_csv(path).rows])

    def patients(self, table: NumberEvaluation) -> dict[str, str]:
        """By case."""
        return {row.case: row.patient for row in table.rows}

    def labels(self, tables: Mapping[str, NumberEvaluation], metric: str) -> tuple[list[str], list[str]]:
        """Targets that all have."""
        first = next(iter(tables.values()))
        names = [n for n in first.targets if all(n in table.targets for table in tables.values())]
        if not names:
            raise BadInput("the runs have no target in common", None, "Compare runs that predict the same numbers")
        apart = {run: [n for n in table.targets if n not in names] for run, table in tables.items()}
        return names, [f"{', '.join(n)} of {run} is not in every run and not compared" for run, n in apart.items() if n]

    def pair(
        self,
        first: NumberEvaluation,
        second: NumberEvaluation,
        metric: str,
        label: str,
        labels: Sequence[str],
        cases: Sequence[str],
    ) -> Paired:
        """Of one target, over the cases whose value is known."""
        a, b = ({row.case: row for row in table.of(label)} for table in (first, second))
        kept = [case for case in cases if case in a and case in b]
        if differing := next((case for case in kept if not same_truth(a[case], b[case])), None):
            what = f"case {differing} has a true {label} of {a[differing].truth:g} and of {b[differing].truth:g}"
            raise BadInput(what, None, "Evaluate the runs on the same table of cases")
        patients = [a[case].patient for case in kept]
        truth = np.array([a[case].truth for case in kept])
        one, other = (np.array([rows[case].prediction for case in kept]) for rows in (a, b))
        if metric == "mae":
            return pair_cases(np.abs(one - truth), np.abs(other - truth), patients)
        figure = _OVERALL[metric]
        found = jackknife(lambda t, x, y: figure(t, y) - figure(t, x), truth, one, other, groups=patients)
        test = swapped(figure, truth, other, one, groups=patients)
        return Paired(len(kept), len(set(patients)), figure(truth, one), figure(truth, other), found, test)

    def values(self, table: NumberEvaluation, metric: str, label: str, labels: Sequence[str]) -> dict[str, float]:
        """Absolute error per case."""
        return table.case_values(metric, label) if metric == "mae" else {}

    def curve(self, table: Any, metric: str, label: str, cases: Sequence[str]) -> Drawn | None:
        """None."""
        return None


NUMBERS = NumberComparison()


def same_truth(one: NumberRow, other: NumberRow) -> bool:
    """Whether two rows have one truth, as far as a table keeps digits."""
    return abs(one.truth - other.truth) <= 1e-5 * max(1.0, abs(one.truth))
