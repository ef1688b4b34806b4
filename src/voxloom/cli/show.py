"""``voxloom show``: pictures of what the network sees and says, and of what is inside it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from voxloom.cli.options import PlaneName

if TYPE_CHECKING:
    from voxloom.run.run import Run


class What(StrEnum):
    """Which picture is drawn."""

    batch = "batch"
    results = "results"
    slices = "slices"
    gallery = "gallery"
    kernels = "kernels"
    activations = "activations"


class OnName(StrEnum):
    """Whose predictions are drawn."""

    held_out = "held-out"
    test = "test"


def command(
    what: Annotated[
        What,
        typer.Argument(
            help="batch: training patches after augmentation; results: truth and prediction; slices: Dice per slice; "
            "gallery: best and worst slices; kernels: of the first layer; activations: what the layers answer."
        ),
    ],
    run: Annotated[Path, typer.Argument(help="Folder of a run; with --recipe a data set.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="PNG or SVG file.")] = Path("show.png"),
    recipe: Annotated[
        Optional[str],
        typer.Option("-r", "--recipe", help="Of batch: what this recipe would train on, before any training."),
    ] = None,
    step: Annotated[int, typer.Option(help="Training step of the batch.")] = 0,
    plane: Annotated[PlaneName, typer.Option(help="Of slices and gallery.")] = PlaneName.axial,
    label: Annotated[Optional[str], typer.Option(help="Of slices and gallery. [default: all]")] = None,
    case: Annotated[Optional[str], typer.Option(help="Of results, slices and activations.")] = None,
    on: Annotated[
        OnName,
        typer.Option(help="Cases of results, slices and gallery: held-out, or test (after voxloom evaluate RUN SET)."),
    ] = OnName.held_out,
    fold: Annotated[int, typer.Option(min=0, help="Of kernels and activations.")] = 0,
    data: Annotated[
        Optional[Path], typer.Option(help="Where the run's data set lies now. [default: where it lay]")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Draw what RUN sees, says and holds inside; or what a recipe would see of a data set."""
    from voxloom.cli import output
    from voxloom.errors import BadInput
    from voxloom.run.run import Run

    if recipe is not None and data is not None:
        raise BadInput("--data is for runs", run, "With --recipe name the data set itself")
    if recipe is not None and what is not What.batch:
        raise BadInput(f"--recipe is for batch: {what.value} needs a run", run, "Train first, or: voxloom show batch")
    if recipe is not None:
        from voxloom.recipe.recipe import Recipe
        from voxloom.verbs.preview import planned_run

        with planned_run(run, Recipe.load(recipe), output.listener()) as planned:
            pictures(planned, out, step, plane.value, label, case, fold, on.value)[what]()
    else:
        pictures(Run(run, data), out, step, plane.value, label, case, fold, on.value)[what]()
    output.done([out], None, {"picture": str(out)} if json_output else None)


def pictures(
    run: Run, out: Path, step: int, plane: Any, label: str | None, case: str | None, fold: int, on: Any
) -> dict[What, Callable[[], Any]]:
    """What is drawn for each word."""
    from voxloom.pictures.batches import show_batch, show_results
    from voxloom.pictures.inside_views import show_activations, show_kernels
    from voxloom.pictures.slice_views import show_gallery, show_slices

    return {
        What.batch: lambda: show_batch(run, out, step=step),
        What.results: lambda: show_results(run, out, cases=[case] if case else None, on=on),
        What.slices: lambda: show_slices(run, out, plane=plane, label=label, case=case, on=on),
        What.gallery: lambda: show_gallery(run, out, plane=plane, label=label, on=on),
        What.kernels: lambda: show_kernels(run, out, fold=fold),
        What.activations: lambda: show_activations(run, out, fold=fold, case=case),
    }
