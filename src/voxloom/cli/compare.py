"""``voxloom compare``: runs against the first of them on the same cases, with a sentence of conclusion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer

from voxloom.cli.options import cases_of

if TYPE_CHECKING:
    from voxloom.verbs.compare import Comparison


def command(
    runs: Annotated[list[Path], typer.Argument(help="The reference first: runs, or folders with a metrics.csv.")],
    on: Annotated[
        Optional[str], typer.Option(help="Figures of runs: test or held-out. [default: test where all have one]")
    ] = None,
    metric: Annotated[
        Optional[str],
        typer.Option(
            help="Of label maps dice, iou, hd95 ...; of classes auc, accuracy ...; of numbers mae, r2 ... [default: the first]"
        ),
    ] = None,
    margin: Annotated[
        Optional[float],
        typer.Option(help="Largest difference that would not matter: test whether runs are equivalent to the first."),
    ] = None,
    non_inferiority: Annotated[
        bool, typer.Option("--non-inferiority", help="With --margin: only whether they are not worse by it.")
    ] = False,
    out: Annotated[Optional[Path], typer.Option("-o", "--out", help="Folder for page, figures and JSON.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare runs with the first, paired by case: differences, intervals, corrected p-values, one sentence each."""
    from voxloom.errors import BadInput
    from voxloom.verbs.compare import compare_runs

    cases = cases_of(on)
    if non_inferiority and margin is None:
        raise BadInput(
            "--non-inferiority needs a margin", None, "Add --margin, the largest difference that would not matter"
        )
    question: Literal["equivalence", "non-inferiority"] = "non-inferiority" if non_inferiority else "equivalence"
    found = compare_runs(runs, metric=metric, cases=cases, margin=margin, question=question)
    tell(found)
    wrote = []
    if out is not None:
        from voxloom.verbs.compare_page import write_comparison

        wrote = write_comparison(found, runs, out, metric=metric, cases=cases)
    conclude(found, wrote, json_output)


def tell(found: Comparison) -> None:
    """Differences and ranks as tables, and what a reader must know of them."""
    from voxloom.cli import output
    from voxloom.report.compare_table import compare_rows, rank_rows

    result = found.to_dict()
    output.table(compare_rows(result))
    if (ranking := result["ranking"]) is not None:
        title = f"Ranks by mean {result['metric']}, {ranking['patients']} patients"
        output.table(rank_rows(ranking), title=title)
    for convention in found.conventions:
        output.note(convention)
    for warning in found.warnings:
        output.note(f"Beware: {warning}")


def conclude(found: Comparison, wrote: list[Path], json_output: bool) -> None:
    """The sentences and files of a comparison, or all of it as JSON."""
    from voxloom.cli import output

    result = found.to_dict()
    if not json_output:
        for sentence in [*found.conclusions, *(m["sentence"] for m in result["margins"])]:
            typer.echo(sentence)
    page = next((output.Page(path) for path in wrote if path.suffix == ".html"), None)
    output.done(wrote, page, result if json_output else None)
