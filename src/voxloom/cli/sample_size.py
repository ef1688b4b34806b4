"""``voxloom sample-size``: how many test patients a study needs, by the spread of runs that are there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer


def command(
    runs: Annotated[
        list[Path], typer.Argument(help="A run (or folder with metrics.csv) as pilot; two for --difference.")
    ],
    width: Annotated[
        Optional[float], typer.Option(help="Width of the 95 % interval of the mean, from end to end, e.g. 0.02.")
    ] = None,
    difference: Annotated[
        Optional[float],
        typer.Option(help="Mean difference of two runs that is to be found, e.g. 0.01 for a Dice point."),
    ] = None,
    power: Annotated[float, typer.Option(help="Chance to find it.")] = 0.8,
    metric: Annotated[
        Optional[str], typer.Option(help="dice, hd95 ... of label maps, mae of numbers. [default: the first]")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """How many test patients are needed for an interval of --width, or to find a --difference between two runs."""
    from voxloom.cli import output
    from voxloom.errors import BadInput
    from voxloom.verbs.sample_size import sample_sizes

    if (width is None) == (difference is None):
        raise BadInput("give --width or --difference", None, "Example: voxloom sample-size RUN --width 0.02")
    found = sample_sizes(runs, metric=metric, width=width, difference=difference, power=power)
    lines = [["label", "SD of the pilot", "its patients", "needed", "safe"]]
    lines += [[label, f"{s.sd:.4g}", str(s.patients), str(s.needed), str(s.safe)] for label, s in found.items()]
    output.table(lines, title=f"Patients for {next(iter(found.values())).question}")
    output.note("safe: by the upper end of the SD's one-sided 80 % interval, since the pilot's SD is uncertain itself")
    output.done([], None, {label: s.to_dict() for label, s in found.items()} if json_output else None)
