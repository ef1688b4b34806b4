"""What is compared: the figures of runs and of kept evaluations, matched case by case.

Knows where ``metrics.csv`` lies and which files a case stands for. Draws no conclusion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation
from voxloom.files import read_json

Cases = Literal["test", "held-out"]


@dataclass(frozen=True)
class Contender:
    """One run or evaluation: its name, its rows, and the content of its cases' files where that is known."""

    name: str
    evaluation: Evaluation
    digests: dict[str, frozenset[str]]


def tables_of(path: Path, cases: str) -> list[Path]:
    """The ``metrics.csv`` files that a path stands for."""
    if path.is_file():
        return [path]
    if not (path / "recipe.yaml").is_file():
        return [path / "metrics.csv"] if (path / "metrics.csv").is_file() else []
    if cases == "test":
        return [path / "test" / "metrics.csv"] if (path / "test" / "metrics.csv").is_file() else []
    return sorted(path.glob("fold_*/metrics.csv"))


def read_contenders(paths: Sequence[Path], cases: Cases) -> list[Contender]:
    """The figures of every path, named by the shortest ends of the paths that differ."""
    found = []
    for path, name in zip(paths, short_names(paths), strict=True):
        tables = tables_of(path, cases)
        if not tables:
            fix = (
                f"voxloom evaluate {path} DATASET" if cases == "test" else "Give a run, or a folder with a metrics.csv"
            )
            raise BadInput(f"no {cases} figures in it", path, fix)
        pooled = Evaluation.read_csv(tables[0])
        for table in tables[1:]:
            pooled.extend(Evaluation.read_csv(table))
        if not pooled.rows:
            raise BadInput("its table of figures is empty", tables[0])
        found.append(Contender(name, pooled, digests_of(path, cases)))
    return found


def short_names(paths: Sequence[Path]) -> list[str]:
    """The last parts of the paths, as many as it takes to tell them apart."""
    whole = [path.resolve() for path in paths]
    for depth in range(1, max(len(p.parts) for p in whole) + 1):
        names = ["/".join(p.parts[-depth:]) for p in whole]
        if len(set(names)) == len(names):
            return names
    raise BadInput("the same run is given twice", paths[0])


def digests_of(path: Path, cases: Cases) -> dict[str, frozenset[str]]:
    """Case -> hashes of its files, where the run kept them."""
    file = path / "test" / "cases.json" if cases == "test" else path / "data.json"
    if not file.is_file():
        return {}
    read = read_json(file)
    listed = read if cases == "test" else read["cases"]
    return {case["id"]: frozenset(case["files"].values()) for case in listed}


def common_cases(contenders: Sequence[Contender]) -> tuple[list[str], list[str]]:
    """Cases that all have, in the reference's order, and warnings about the others and about files that differ."""
    sets = [set(c.evaluation.cases) for c in contenders]
    common = [case for case in contenders[0].evaluation.cases if all(case in s for s in sets)]
    if not common:
        raise BadInput("the runs have no case in common", None, "Evaluate them on the same cases")
    warnings = []
    if any(len(s) != len(common) for s in sets):
        told = ", ".join(f"{c.name} has {len(s)}" for c, s in zip(contenders, sets, strict=True))
        warnings.append(f"The cases differ: {told}; compared on the {len(common)} that all have")
    for case in common:
        known = {c.digests[case] for c in contenders if case in c.digests}
        if len(known) > 1:
            raise BadInput(
                f"case {case} stands for different files in the runs", None, "Evaluate them on the same data set"
            )
    return common, warnings


def common_labels(contenders: Sequence[Contender]) -> tuple[list[str], list[str]]:
    """Labels that all have, in the reference's order, "mean" first where there are several; and warnings about the others."""
    labels = [n for n in contenders[0].evaluation.labels if all(n in c.evaluation.labels for c in contenders)]
    if not labels:
        raise BadInput("the runs have no label in common", None, "Give the labels one name: voxloom evaluate --labels")
    apart = {c.name: [n for n in c.evaluation.labels if n not in labels] for c in contenders}
    told = [
        f"{', '.join(names)} of {run} is not in every run and not compared" for run, names in apart.items() if names
    ]
    return ["mean", *labels] if len(labels) > 1 else labels, told


def values_of(contender: Contender, label: str, labels: Sequence[str], metric: str) -> dict[str, float]:
    """Case -> metric of a label, or its mean over ``labels``."""
    chosen = [n for n in labels if n != "mean"] if label == "mean" else [label]
    found: dict[str, list[float]] = {}
    for row in contender.evaluation.rows:
        if row.label in chosen:
            found.setdefault(row.case, []).append(row.metrics.value(metric))
    return {case: float(np.mean(values)) for case, values in found.items()}
