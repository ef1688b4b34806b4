"""``voxloom calibrate``: learn what a run's predictions are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from voxloom.cli.options import Device


def command(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    data: Annotated[
        Optional[Path],
        typer.Option(help="Of classes and numbers: annotated cases of another site. [default: the held-out cases]"),
    ] = None,
    members: Annotated[
        Optional[str],
        typer.Option(help="Of label maps: tta or dropout. [default: dropout where the networks have it, else tta]"),
    ] = None,
    draws: Annotated[int, typer.Option(help="Draws with active dropout.")] = 8,
    promise: Annotated[
        float, typer.Option(help="Chance with which the bound of a Dice, a set of classes or an interval is to hold.")
    ] = 0.9,
    confidence: Annotated[
        Optional[float],
        typer.Option(
            help="Of label maps: keep the promise with this chance for this one calibration, e.g. 0.95. [default: on average]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of noise and dropout.")] = 0,
    device: Device = "auto",
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Learn what RUN's answers are worth: predicted Dice of label maps, temperature and sets of classes, intervals of numbers."""
    from voxloom.cli import output
    from voxloom.trust.quality import CalibrateOptions
    from voxloom.trust.sampling import Sampling
    from voxloom.verbs.calibrate import calibrate
    from voxloom.verbs.evaluate import report_run

    sources = () if members is None else Sampling.parse(members, draws, seed).sources
    options = CalibrateOptions(sources, draws, seed, promise, confidence, device)
    with output.progress_bar("Asking each network about cases it never saw") as progress:
        found = calibrate(run, data, options, progress)
    output.table([["figure", "value"], *found.rows], title=found.about.get("sentence", ""))
    wrote = [*found.files, report_run(run)]
    about = dict(found.about) if json_output else None
    output.done(wrote, ["voxloom", "predict", run, "SCANS", "-o", "OUT"], about)
