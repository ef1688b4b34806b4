"""How tables of label maps are compared: every metric is one number per case and label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.errors import BadInput
from voxloom.evaluation.evaluation import Evaluation
from voxloom.evaluation.paired import Drawn, Paired, pair_cases
from voxloom.evaluation.scores import MASK_SCORES, Score


class MaskComparison:
    """See :class:`voxloom.evaluation.paired.Comparison`."""

    default = case_default = "dice"
    metrics: Mapping[str, Score] = MASK_SCORES
    text = (
        "Difference: run minus reference, paired by case; interval over patients. p: Wilcoxon signed-rank test of the patients' mean "
        "differences, Holm-corrected over all rows. Effect: matched-pairs rank-biserial correlation. Tested: patients with a "
        "difference."
    )

    def holds(self, columns: Sequence[str]) -> bool:
        """Whether there is a Dice."""
        return "dice" in columns

    def read(self, paths: Sequence[Path]) -> Evaluation:
        """The rows of all files."""
        whole = Evaluation.read_csv(paths[0])
        for path in paths[1:]:
            whole.extend(Evaluation.read_csv(path))
        return whole

    def patients(self, table: Evaluation) -> dict[str, str]:
        """By case."""
        return table.patients

    def labels(self, tables: Mapping[str, Evaluation], metric: str) -> tuple[list[str], list[str]]:
        """Labels that all have, in the reference's order, "mean" first where there are several."""
        first = next(iter(tables.values()))
        labels = [n for n in first.labels if all(n in table.labels for table in tables.values())]
        if not labels:
            fix = "Give the labels one name: voxloom evaluate --labels"
            raise BadInput("the runs have no label in common", None, fix)
        apart = {run: [n for n in table.labels if n not in labels] for run, table in tables.items()}
        told = [f"{', '.join(n)} of {run} is not in every run and not compared" for run, n in apart.items() if n]
        return ["mean", *labels] if len(labels) > 1 else labels, told

    def pair(
        self,
        first: Evaluation,
        second: Evaluation,
        metric: str,
        label: str,
        labels: Sequence[str],
        cases: Sequence[str],
    ) -> Paired:
        """Over the cases that have the label, and a value, in both (BadInput where one of the tables lacks the metric)."""
        if metric not in first.metrics or metric not in second.metrics:
            fix = "Evaluate both with evaluate.metrics in the recipe, or with --metrics"
            raise BadInput(f"{metric} was not measured in both", None, fix)
        a, b = (self.values(table, metric, label, labels) for table in (first, second))
        kept, patient = [case for case in cases if case in a and case in b], first.patients
        return pair_cases([a[c] for c in kept], [b[c] for c in kept], [patient[c] for c in kept])

    def values(self, table: Evaluation, metric: str, label: str, labels: Sequence[str]) -> dict[str, float]:
        """Case -> metric of a label, or its mean over ``labels``."""
        chosen = [n for n in labels if n != "mean"] if label == "mean" else [label]
        found: dict[str, list[float]] = {}
        for row in table.rows:
            if row.label in chosen:
                found.setdefault(row.case, []).append(row.metrics.value(metric))
        known = {case: [v for v in values if v == v] for case, values in found.items()}  # NaN: not defined for the case
        return {case: float(np.mean(values)) for case, values in known.items() if values}

    def curve(self, table: Any, metric: str, label: str, cases: Sequence[str]) -> Drawn | None:
        """None."""
        return None


MASKS = MaskComparison()
