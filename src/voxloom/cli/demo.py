"""``voxloom demo``: the whole job on real MR where it is at hand, from a data set to a Dice table on unseen cases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer


def command(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for everything that the demo makes.")] = Path("demo"),
    data: Annotated[
        Optional[Path], typer.Option(help="Folder of real data sets. [default: $VOXLOOM_DATA, then ../shared/data]")
    ] = None,
    budget: Annotated[str, typer.Option(help="Training time.")] = "5m",
    download: Annotated[
        bool, typer.Option("--download", help="Accept the licence and fetch the real data when absent.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Inspect, train, predict and evaluate on hippocampus MR, else on a phantom; says which."""
    from voxloom.cli import output
    from voxloom.cli.training_progress import screen_listener
    from voxloom.verbs.demo import demo_data, run_demo

    choice = demo_data(data, out, download)
    output.note(choice.sentence)
    result = run_demo(choice, out, budget, screen_listener())
    output.table(result.rows(), title=f"Dice on {result.cases} cases that the network never saw")
    facts = {"data": choice.kind, "run": str(result.run), "dice": result.dice} if json_output else None
    output.done([result.report], ["voxloom", "predict", result.run, "SCAN", "-o", "OUT"], facts)
