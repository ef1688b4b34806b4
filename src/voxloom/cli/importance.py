"""``voxloom importance``: which of the varied settings of a table of runs mattered."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer


class Goal(StrEnum):
    """Whether large or small scores are good."""

    max = "max"
    min = "min"


def command(
    table: Annotated[Path, typer.Argument(help="Table of runs: .csv, .tsv or .parquet, one row per run.")],
    score: Annotated[str, typer.Option(help="Column that is explained.")],
    factors: Annotated[str, typer.Option(help="Columns that were varied, separated by commas.")],
    log: Annotated[str, typer.Option(help="Factors that enter as log10, separated by commas. [default: none]")] = "",
    best: Annotated[int, typer.Option(help="Rows of the table of the best runs.", min=0)] = 20,
    goal: Annotated[
        Optional[Goal], typer.Option(help="Which scores are good. [default: known of every score of Voxloom, else max]")
    ] = None,
    out: Annotated[Optional[Path], typer.Option("-o", "--out", help="CSV file with the weights.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Regress the score of runs on their settings (coefficients, p-values), and list the best runs."""
    from dataclasses import asdict

    from voxloom.cli import output
    from voxloom.dataset.tables import read_table
    from voxloom.evaluation.importance import best_rows, importance
    from voxloom.report.importance_table import best_table, importance_note, importance_rows
    from voxloom.sweep.table import write_csv

    rows, names = read_table(table), split_names(factors)
    found = importance(rows, names, score, log=split_names(log), where=table)
    top = best_rows(rows, score, best, largest=larger_is_better(score, goal, table)) if best else []
    wrote = [] if out is None else [write_csv([asdict(weight) for weight in found.weights], out)]
    if not json_output:
        if top:
            output.table(best_table(top, [score, *names]), title="Best runs")
        output.table(importance_rows(found), title="Importance (linear regression)")
        output.note(importance_note(found))
    plain = {**found.to_dict(), "best": [{name: row.get(name) for name in (score, *names)} for row in top]}
    output.done(
        wrote, ["voxloom", "aggregate", table, "--scores", score, "--factors", names[0]], plain if json_output else None
    )


def larger_is_better(score: str, goal: Goal | None, table: Path) -> bool:
    """Whether large values of a column are good; said where it is assumed, refused where it contradicts what is known."""
    from voxloom.cli import output
    from voxloom.evaluation.scores import goal_of

    found = goal_of(score, None if goal is None else goal.value, table)
    if found is None:
        output.note(f"Nothing is known of `{score}`: large values are taken as good (else say --goal min)")
    return found != "min"


def split_names(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
