"""``voxloom calibrate``: learn what a run's predictions are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer


def command(
    run: Annotated[Path, typer.Argument(help="Folder of a run with held-out cases.")],
    members: Annotated[
        Optional[str],
        typer.Option(help="tta or dropout. [default: dropout where the networks have it, else tta]"),
    ] = None,
    draws: Annotated[int, typer.Option(help="Draws with active dropout.")] = 8,
    promise: Annotated[float, typer.Option(help="Share of patients whose true Dice is to lie above the bound.")] = 0.9,
    confidence: Annotated[
        Optional[float],
        typer.Option(
            help="Keep the promise with this chance for this one calibration, e.g. 0.95. [default: on average]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of noise and dropout.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fit predicted Dice and its lower bound on RUN's held-out cases; predict and evaluate then use them."""
    from voxloom.cli import output
    from voxloom.trust.quality import QUALITY, calibrate_run
    from voxloom.trust.uncertainty import Sampling
    from voxloom.verbs.evaluate import report_run

    sources = () if members is None else Sampling.parse(members, draws, seed).sources
    with output.progress_bar("Asking each network about the cases it never saw") as progress:
        about = calibrate_run(
            run,
            sources=sources,
            draws=draws,
            seed=seed,
            promise=promise,
            confidence=confidence,
            device=device,
            progress=progress,
        )
    output.table(rows(about), title=about["sentence"])
    wrote = [run / QUALITY, run / "quality.csv", report_run(run)]
    output.done(wrote, ["voxloom", "predict", run, "SCANS", "-o", "OUT"], about if json_output else None)


def rows(about: dict[str, Any]) -> list[list[str]]:
    """A table for the screen."""
    held_out, model = about["held_out"], about["model"]
    rho = "unknown" if held_out["rho"] is None else f"{held_out['rho']:.2f}"
    return [
        ["figure", "value"],
        ["held-out cases (patients)", f"{model['cases']} ({model['patients']})"],
        ["mean error of predicted Dice, each case without its patient", f"{held_out['mean_error']:.3f}"],
        ["Spearman's correlation with true Dice", rho],
    ]
