"""``voxloom pseudo``: pseudo-labels of unlabelled scans by the folds of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voxloom.cli.options import Device, Series

if TYPE_CHECKING:
    from voxloom.annotate.pseudo import Verdict

#: Refused cases that the screen shows; the list has all.
SHOWN = 8


def command(
    run: Annotated[Path, typer.Argument(help="Folder of a run with two folds or more.")],
    unlabelled: Annotated[list[Path], typer.Argument(help="An unlabelled data set, or scans: files and folders.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the new data set (nnU-Net raw).")],
    agreement: Annotated[
        float,
        typer.Option(min=0, max=1, help="Least mean Dice between every two folds, of the label of least confidence."),
    ] = 0.8,
    expected: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Least Dice that the probabilities lead to expect, of the label of least confidence."
        ),
    ] = 0.5,
    series: Series = None,
    device: Device = "auto",
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Label UNLABELLED scans with all folds of RUN and keep those that the folds are confident of, as a data set to train on."""
    from voxloom.annotate.pseudo import LIST, Rule, pseudo_label
    from voxloom.cli import output
    from voxloom.run.run import Run

    with output.progress_bar("Labelling") as progress:
        verdicts = pseudo_label(
            run,
            unlabelled,
            out,
            Rule(agreement, expected),
            series=tuple(series or ()),
            device=device,
            progress=progress,
        )
    kept = sum(verdict.kept for verdict in verdicts)
    output.table(rows(verdicts), title=f"{kept} of {len(verdicts)} cases kept")
    result = {"dataset": str(out), "kept": kept, "cases": [as_dict(verdict) for verdict in verdicts]}
    trained = Run(run)
    root = "DATASET" if trained.data.get("shared") else trained.data_root
    added = [word for path in (*trained.recipe.data.add, out) for word in ("--add", path)]
    again = ["voxloom", "train", root, "-r", run / "recipe.yaml", *added, "-o", "RUN2"]
    output.done([out, out / LIST], again, result if json_output else None)


def as_dict(verdict: Verdict) -> dict[str, object]:
    """A verdict as JSON values."""
    figures = {"agreement": verdict.agreement, "expected_dice": verdict.expected}
    return {"case": verdict.case.id, "kept": verdict.kept, "reason": verdict.reason, **figures}


def rows(verdicts: Sequence[Verdict]) -> list[list[str]]:
    """Refused cases with their reasons, and the confidence of the folds in the kept ones, with a header row."""
    kept, refused = [v for v in verdicts if v.kept], [v for v in verdicts if not v.kept]
    least = min((v.agreement or 0.0 for v in kept), default=0.0)
    lines = [["case", "verdict"], [f"{len(kept)} cases", f"kept; least agreement of the folds {least:.3f}"]]
    lines += [[v.case.id, f"refused: {v.reason}"] for v in refused[:SHOWN]]
    more = len(refused) - SHOWN
    return [*lines, *([[f"{more} more", "refused, see the list"]] if more > 0 else [])]
