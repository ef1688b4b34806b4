"""``voxloom inspect``: what is in a data set, what is wrong with it, how to prepare it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from voxloom.cli.options import Series

if TYPE_CHECKING:
    from voxloom.dataset import Dataset


def command(
    dataset: Annotated[Path, typer.Argument(help="Data set, in any layout that Voxloom reads.")],
    out: Annotated[
        Optional[Path], typer.Option("-o", "--out", help="Write the page here (.html, or a folder for inspect.html).")
    ] = None,
    series: Series = None,
    workers: Annotated[Optional[int], typer.Option(help="Processes. [default: chosen by the work]")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Sizes, intensities and labels of every case, the problems found, and a suggestion how to prepare them."""
    from dataclasses import asdict

    from voxloom.cli import output
    from voxloom.dataset import Dataset
    from voxloom.dataset.inspect import find_problems, fingerprint, inspect_text, suggest

    opened = Dataset(dataset, series=tuple(series or ()))
    with output.progress_bar("Inspecting") as progress:
        found = fingerprint(opened, workers=workers, progress=progress)
    problems, suggestion = find_problems(opened, found), suggest(found)
    wrote = []
    if out is not None:
        from voxloom.report.inspect_page import write_inspect_page

        with output.progress_bar("Drawing") as progress:
            page = write_inspect_page(opened, found, problems, suggestion, out, workers=workers, progress=progress)
        wrote = [page]
    facts = {
        "fingerprint": found.to_dict(),
        "problems": [asdict(problem) for problem in problems],
        "suggestion": asdict(suggestion),
        "columns": dict(opened.columns),
        "page": str(wrote[0]) if wrote else None,
    }
    if not json_output:
        typer.echo(inspect_text(found, problems, suggestion, opened.columns) + "\n")
    broken = any(problem.severity == "error" for problem in problems)
    if broken:
        output.note("Correct the errors above, then inspect again.")
    step = (
        ["voxloom", "inspect", dataset, "-o", "inspect.html"]
        if out is None or broken
        else next_training(opened, dataset)
    )
    output.done(wrote, step, facts if json_output else None)


def next_training(dataset: Dataset, place: Path) -> list[object] | None:
    """The command that trains on the data set; None where none can, which is said."""
    from voxloom.cli import output

    if dataset.task == "segmentation" and any(case.label is not None for case in dataset.training):
        return ["voxloom", "train", place, "-o", "RUN"]
    if any(case.points is not None for case in dataset.training):
        output.note("Points are trained on with a recipe that has a section landmarks: voxloom recipes lists them.")
        return ["voxloom", "train", place, "-r", "RECIPE.yaml", "-o", "RUN"]
    if any(case.target is not None for case in dataset.training):
        output.note(
            f"The targets of the cases are learned by {dataset.task}; --set task=... takes another: docs/tasks.md."
        )
        return ["voxloom", "train", place, "-o", "RUN"]
    output.note("No training case has a label map, points or a target, so nothing can be trained on it.")
    return None
