"""``voxloom review``: held-out cases whose labels are suspected to be wrong."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Optional

import typer


def command(
    run: Annotated[Path, typer.Argument(help="Folder of a run; with folds, every case is judged.")],
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Cases with a lower Dice are listed.")] = 0.8,
    label: Annotated[Optional[str], typer.Option(help="Judge by this label. [default: the mean over labels]")] = None,
    out: Annotated[Optional[Path], typer.Option("-o", "--out", help="Folder. [default: review in the run]")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """List held-out cases of RUN with a low Dice, with pictures, as suspected label errors to look at."""
    from voxloom.annotate.review import review_run
    from voxloom.cli import output
    from voxloom.run.run import Run

    with output.progress_bar("Drawing") as progress:
        found = review_run(run, threshold, label, out, progress)
    lines = [["case", "Dice", "worst label", "verdict"]]
    lines += [[s.case, f"{s.dice:.4f}", f"{s.worst_label} {s.worst_dice:.4f}", s.verdict] for s in found.suspects]
    output.table(lines, title=f"{len(found.suspects)} of {found.judged} held-out cases below {threshold:g}")
    if found.judged < found.cases:
        output.note(f"{found.cases - found.judged} cases were not held out by any fold, so they were not judged.")
    result = {"judged": found.judged, "cases": found.cases, "suspects": [asdict(s) for s in found.suspects]}
    again: list[object] | None = None
    if found.suspects:
        marked = sum(suspect.verdict == "exclude" for suspect in found.suspects)
        output.note(f"{marked} cases are marked exclude; write exclude or keep under verdict in {found.wrote[0]}")
        exclude = f"data.exclude={found.wrote[0]}"
        again = ["voxloom", "train", Run(run).data_root, "-r", run / "recipe.yaml", "--set", exclude, "-o", "RUN2"]
    output.done(found.wrote, again, result if json_output else None)
