"""``voxloom rank``: which scans to annotate next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from voxloom.cli.machines import spread
from voxloom.cli.options import Device, Scans, Series


@spread
def command(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    unlabelled: Scans,
    most: Annotated[Optional[int], typer.Option("-n", "--most", help="Scans to list. [default: all]")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Table; a page with pictures goes beside it.")] = Path(
        "rank.csv"
    ),
    members: Annotated[
        Optional[str],
        typer.Option(
            help="folds, tta, dropout, or several with commas. [default: folds where there are several, else dropout, else tta]"
        ),
    ] = None,
    diversity: Annotated[float, typer.Option(help="Weight of being unlike the scans above, 0 to 1.")] = 0.5,
    series: Series = None,
    draws: Annotated[int, typer.Option(help="Draws with active dropout.")] = 8,
    seed: Annotated[int, typer.Option(help="Of noise and dropout.")] = 0,
    device: Device = "auto",
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Order scans without labels for annotation: uncertain ones first that are unlike each other."""
    from voxloom.annotate.rank_run import RankOptions, rank_run
    from voxloom.cli import output

    options = RankOptions(most, members, diversity, draws, seed, tuple(series or ()), device)
    found = rank_run(run, unlabelled, out, options, output.listener())
    output.table([["rank", "case", "why"], *([str(r["rank"]), r["case"], r["reason"]] for r in found.rows[:20])])
    wrote = [found.table, found.page]
    result = {
        "rows": found.rows,
        "left_out": found.known,
        "members": found.sampling.to_dict(),
        "written": [str(path) for path in wrote],
    }
    output.done(wrote, output.Page(found.page), result if json_output else None)
