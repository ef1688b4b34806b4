"""``voxloom show``: pictures of what the network sees and says."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class What(StrEnum):
    """Which picture is drawn."""

    batch = "batch"
    results = "results"


def command(
    what: Annotated[
        What, typer.Argument(help="batch: training patches after augmentation; results: truth and prediction.")
    ],
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="PNG or SVG file.")] = Path("show.png"),
    step: Annotated[int, typer.Option(help="Training step of the batch.")] = 0,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Draw a training batch, or results beside the truth, of RUN."""
    from voxloom.cli import output
    from voxloom.study.run import Run

    opened = Run(run)
    if what is What.batch:
        opened.show_batch(out, step=step)
    else:
        opened.show_results(out)
    output.done([out], None, {"picture": str(out)} if json_output else None)
