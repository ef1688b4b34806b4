"""``voxloom prepare``: prepare every case of a data set into a cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voxloom.cli.machines import spread


@spread
def command(
    dataset: Annotated[Path, typer.Argument(help="Data set, in any layout that Voxloom reads.")],
    recipe: Annotated[
        str,
        typer.Option("-r", "--recipe", help="Recipe file or name; its prepare section decides."),
    ],
    cache: Annotated[
        Path,
        typer.Option("-o", "--cache", help="Cache folder; may hold many data sets and settings."),
    ],
    workers: Annotated[int | None, typer.Option(help="Processes. [default: chosen by the work]")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Reorient, crop, resample and normalize every case once; what is in the cache already is not made again."""
    from voxloom.cli import output
    from voxloom.dataset import Dataset
    from voxloom.prepare import Cache, PrepareSettings
    from voxloom.recipe.recipe import Recipe
    from voxloom.run.cases import refuse_missing

    chosen = Recipe.load(recipe)
    given, settings = chosen.prepare, chosen.preparation
    if open_keys := [key for key in PrepareSettings.model_fields if key not in given]:
        output.note(f"{recipe} leaves open: {', '.join(open_keys)}; defaults are taken, where training may plan others")
    data = Dataset(dataset)
    refuse_missing(data, chosen)
    with output.progress_bar("Preparing") as progress:
        prepared = Cache(cache).prepare(data, settings, workers=workers, progress=progress)
    size = sum(case.path.stat().st_size for case in prepared.values())
    output.note(f"{len(prepared)} cases, {prepared.made} prepared now, {size / 1e6:.1f} MB")
    facts = {
        "cases": len(prepared),
        "made": prepared.made,
        "bytes": size,
        "cache": str(cache),
    }
    output.done(
        [cache],
        ["voxloom", "train", dataset, "-r", recipe, "-o", "RUN"],
        facts if json_output else None,
    )
