"""What is compared: the figures of runs and of kept evaluations, matched case by case.

Knows where ``metrics.csv`` lies, whose kind it is, and which files a case stands for. Draws no conclusion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from voxloom.errors import BadInput
from voxloom.evaluation.measures import Measures
from voxloom.evaluation.paired import Comparison, Drawn
from voxloom.evaluation.scores import Score
from voxloom.files import read_json
from voxloom.run.run import Run
from voxloom.runfiles import CaseFiles, held_out_tables, test_in
from voxloom.tasks.abilities import ask_folders, run_near
from voxloom.tasks.task import TASKS, task_named, task_of

Cases = Literal["test", "held-out"]


@dataclass(frozen=True)
class Contender:
    """One run or evaluation: its name, its rows, and the content of its cases' files where that is known."""

    name: str
    evaluation: Any
    patients: dict[str, str]
    digests: dict[str, frozenset[str]]


def tables_of(path: Path, cases: str) -> list[Path]:
    """The ``metrics.csv`` files that a path stands for."""
    if path.is_file():
        return [path]
    if not (path / "recipe.yaml").is_file():
        return _there(CaseFiles(path).table)
    if cases == "test":
        return _there(test_in(path).table)
    return held_out_tables(path)


def _there(table: Path) -> list[Path]:
    return [table] if table.is_file() else []


def read_contenders(paths: Sequence[Path], cases: Cases) -> tuple[Comparison, list[Contender]]:
    """How the figures of all paths are compared, and the figures, named by the shortest ends of the paths that differ."""
    names, tables = short_names(paths), [tables_of(path, cases) for path in paths]
    for path, found in zip(paths, tables, strict=True):
        if not found:
            fix = (
                f"voxloom evaluate {path} DATASET" if cases == "test" else "Give a run, or a folder with a metrics.csv"
            )
            raise BadInput(f"no {cases} figures in it", path, fix)
    comparison, contenders = comparison_of(paths, [found[0] for found in tables]), []
    for path, name, found in zip(paths, names, tables, strict=True):
        whole = comparison.read(found)
        patients = comparison.patients(whole)
        if not patients:
            raise BadInput("its table of figures is empty", found[0])
        contenders.append(Contender(name, whole, patients, digests_of(path, cases)))
    return comparison, contenders


def comparison_of(paths: Sequence[Path], tables: Sequence[Path]) -> Comparison:
    """How tables are compared, by the tasks of their runs and else by their columns.

    Raises
    ------
    BadInput : a table is of no known kind, or they are of different kinds.
    """
    runs = [run for path in paths if (run := run_near(path)) is not None]
    tasks = [*(task_of(Run(run)) for run in runs), *map(task_named, TASKS)]
    known = [task.comparison for task in tasks if task.comparison is not None]
    chosen = None
    for table in tables:
        columns = table.open(encoding="utf-8", errors="replace").readline().strip().split(",")
        own = next((one for one in known if one.holds(columns)), None)
        if own is None:
            raise BadInput("is not a table of figures that can be compared", table, "Give a run, or its metrics.csv")
        if chosen is not None and own is not chosen:
            what = f"holds figures of another kind than {tables[0]}"
            raise BadInput(what, table, "Compare runs of one task")
        chosen = own
    assert chosen is not None
    return chosen


def known_metric(kind: Comparison, metric: str | None, usual: str) -> str:
    """The metric that was asked for, else the usual one (BadInput for one that figures of this kind do not have)."""
    chosen = metric or usual
    if chosen not in kind.metrics:
        raise BadInput(f"no metric {chosen!r}", None, f"Choose one of {', '.join(kind.metrics)}")
    return chosen


def measures_of(path: Path, cases: Cases) -> Measures | None:
    """How the figures of a path were measured; None where nothing says so (earlier versions, other tools)."""
    folder = path.parent if path.is_file() else path
    if (folder / "recipe.yaml").is_file():
        kept = Run(folder).summary.get("test" if cases == "test" else "validation") or {}
    else:
        kept = read_json(folder / "statistics.json") if (folder / "statistics.json").is_file() else {}
    found = kept.get("measures") if isinstance(kept, dict) else None
    return None if found is None else Measures.model_validate(found)


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
    file = test_in(path).cases if cases == "test" else path / "data.json"
    if not file.is_file():
        return {}
    read = read_json(file)
    listed = read if cases == "test" else read["cases"]
    return {case["id"]: frozenset(case["files"].values()) for case in listed}


def common_cases(contenders: Sequence[Contender]) -> tuple[list[str], list[str]]:
    """Cases that all have, in the reference's order, and warnings about the others and about files that differ."""
    common = [case for case in contenders[0].patients if all(case in c.patients for c in contenders)]
    if not common:
        raise BadInput("the runs have no case in common", None, "Evaluate them on the same cases")
    warnings = []
    if any(len(c.patients) != len(common) for c in contenders):
        told = ", ".join(f"{c.name} has {len(c.patients)}" for c in contenders)
        warnings.append(f"The cases differ: {told}; compared on the {len(common)} that all have")
    for case in common:
        known = {c.digests[case] for c in contenders if case in c.digests}
        if len(known) > 1:
            raise BadInput(
                f"case {case} stands for different files in the runs", None, "Evaluate them on the same data set"
            )
    return common, warnings


@dataclass(frozen=True)
class LabelValues:
    """A metric of one label: the patient of every common case, and run -> value per case, in the same order.

    No cases for figures that only many cases have.
    """

    patients: list[str]
    runs: dict[str, list[float]]


@dataclass(frozen=True)
class Contest:
    """The figures that are compared, on the cases and labels that all contenders have; the first is the reference.

    Parameters
    ----------
    kind : how figures of their task are compared.
    on : "test" or "held-out" figures.
    common : cases that all have, in the reference's order.
    warnings : about the cases and labels that not all have.
    """

    kind: Comparison
    contenders: Sequence[Contender]
    on: Cases
    metric: str
    common: Sequence[str]
    labels: Sequence[str]
    warnings: Sequence[str]

    @classmethod
    def of(cls, paths: Sequence[str | Path], metric: str | None, cases: Cases | None) -> Contest:
        """The figures of runs, folders and tables; the test's where all have one and nothing else is asked for.

        Raises
        ------
        BadInput : fewer than two, runs of different tasks, no common case or label, or figures that cannot be read.
        """
        ask_folders("compare", paths)
        if len(paths) < 2:
            raise BadInput("a comparison needs two runs", None, "Example: voxloom compare RUN_A RUN_B")
        files = [Path(path) for path in paths]
        tested = all(tables_of(file, "test") for file in files)
        on: Cases = cases or ("test" if tested else "held-out")
        kind, contenders = read_contenders(files, on)
        chosen = known_metric(kind, metric, kind.default)
        common, warnings = common_cases(contenders)
        labels, apart = kind.labels({c.name: c.evaluation for c in contenders}, chosen)
        return cls(kind, contenders, on, chosen, common, labels, [*warnings, *apart])

    @property
    def reference(self) -> Contender:
        """What the others are compared with."""
        return self.contenders[0]

    @property
    def score(self) -> Score:
        """What the metric is."""
        return self.kind.metrics[self.metric]

    def values(self, label: str) -> LabelValues:
        """The metric of a label for every case that all have."""
        columns = {c.name: self.kind.values(c.evaluation, self.metric, label, self.labels) for c in self.contenders}
        kept = [case for case in self.common if all(case in column for column in columns.values())]
        runs = {name: [column[case] for case in kept] for name, column in columns.items()}
        return LabelValues([self.reference.patients[case] for case in kept], runs)

    def curves(self, label: str) -> dict[str, Drawn]:
        """Run -> the curve that stands behind the figure, over the common cases; empty where not all have one."""
        every = {c.name: self.kind.curve(c.evaluation, self.metric, label, self.common) for c in self.contenders}
        known = {name: curve for name, curve in every.items() if curve is not None}
        return known if len(known) == len(self.contenders) else {}
