"""``voxloom ensemble``: let several runs or folds decide together."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from voxloom.cli.options import Device


class Rule(StrEnum):
    """How members become one."""

    mean = "mean"
    vote = "vote"
    stack = "stack"


def command(
    members: Annotated[list[Path], typer.Argument(help="Folders of runs, or of single folds (RUN/fold_0).")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the ensemble.")],
    by: Annotated[
        Rule,
        typer.Option(help="mean of probabilities, vote of label maps, or stack: a network that learns to combine."),
    ] = Rule.mean,
    each_fold: Annotated[bool, typer.Option("--each-fold", help="Every fold of a run is a member of its own.")] = False,
    best: Annotated[
        Optional[int],
        typer.Option(min=1, help="Of every kind of network (2D or 3D, labels) so many with the best held-out Dice."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the stack's training.")] = 0,
    device: Device = "auto",
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make an ensemble of MEMBERS, scored on the cases that none of them has seen."""
    from voxloom.cli import output
    from voxloom.ensemble import build_ensemble

    with output.progress_bar("Scoring") as progress:
        built = build_ensemble(
            members, out, by.value, each_fold=each_fold, best=best, device=device, seed=seed, progress=progress
        )
    if built.cases:
        output.table(figure_rows(built.figures), title=f"Dice on {built.cases} cases that no member has seen")
    else:
        output.note("No case was held out by every member, so there are no figures. Train them with the same folds.")
    result = {"ensemble": str(built.folder), "cases": built.cases, "figures": built.figures}
    output.done(
        [out / "ensemble.json"], ["voxloom", "predict", out, "SCAN", "-o", "OUT"], result if json_output else None
    )


def figure_rows(figures: dict[str, Any]) -> list[list[str]]:
    """Rows of member and mean Dice +- SD per label, with a header row."""
    labels = list(dict.fromkeys(label for summary in figures.values() for label in summary["dice"]))
    rows = [["member", *labels]]
    for name, summary in figures.items():
        dice = summary["dice"]
        rows.append([name, *(f"{dice[n]['mean']:.4f} ± {dice[n]['sd']:.4f}" if n in dice else "" for n in labels)])
    if spread := figures["ensemble"].get("robustness"):
        cells = (f"{spread[n]['mean']:.4f} ± {spread[n]['sd_folds']:.4f}" if n in spread else "" for n in labels)
        rows.append(["ensemble, SD of folds", *cells])
    return rows
