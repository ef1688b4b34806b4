"""``voxloom curve``: what more training scans have brought, and would bring."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from voxloom.cli.importance import Goal, larger_is_better

if TYPE_CHECKING:
    from voxloom.evaluation.learning import LearningCurve


def command(
    table: Annotated[Path, typer.Argument(help="Table of runs: .csv, .tsv or .parquet, one row per run.")],
    score: Annotated[str, typer.Option(help="Column of the score.")],
    size: Annotated[str, typer.Option(help="Column with the number of training patients.")] = "folds.train_patients",
    goal: Annotated[
        Optional[Goal],
        typer.Option(
            help="max: the error is 1 - score; min: the score is the error. [default: known of every score of Voxloom, else max]"
        ),
    ] = None,
    out: Annotated[Optional[Path], typer.Option("-o", "--out", help="Picture, written as .svg and .png.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fit error = floor + scale x size^-rate to runs on training sets of several sizes, such as those of a sweep."""
    from voxloom.cli import output
    from voxloom.dataset.tables import read_table
    from voxloom.evaluation.learning import learning_curve

    runs_table = read_table(table)
    larger = larger_is_better(score, goal, table)
    curve = learning_curve(runs_table, size, score, largest=larger, where=table)
    error = f"1 - {score}" if larger else score
    trend = curve.trend
    if not json_output:
        rows = [[f"{n:g}", str(runs), f"{mean:.4g}", f"{trend(n):.4g}"] for n, runs, mean in curve.by_size()]
        last = 2 * curve.sizes[-1]
        rows.append([f"{last:g}", "-", "-", f"{trend(last):.4g}"])
        output.table([["scans", "runs", error, "trend"], *rows], title="Learning curve")
        output.note(
            f"{error} = {trend.floor:.4g} + {trend.scale:.4g} n^-{trend.rate:.3g}, root mean square of the rest {trend.rms:.2g}"
        )
    wrote = [] if out is None else draw(curve, error, out)
    output.done(wrote, None, curve.to_dict() if json_output else None)


def draw(curve: LearningCurve, ylabel: str, out: Path) -> list[Path]:
    """Write the picture in both forms."""
    from voxloom.report.point_figures import learning_curve
    from voxloom.report.style import save_figure

    plain = out.with_suffix("") if out.suffix in (".png", ".svg") else out
    return save_figure(learning_curve(curve.sizes, curve.errors, curve.trend, ylabel), plain)
