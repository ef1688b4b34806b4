"""``voxloom recipes``: list the shipped recipes, or print one."""

from __future__ import annotations

from typing import Annotated, Optional

import typer


def command(
    name: Annotated[Optional[str], typer.Argument(help="Print this recipe.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """List the shipped recipes, or print one as YAML to start your own from."""
    from voxloom.cli import output
    from voxloom.study.recipe import Recipe, recipe_names, shipped_text

    if name is not None:
        recipe = Recipe.load(name)
        if json_output:
            output.done([], None, recipe.model_dump(mode="json"))
        else:
            typer.echo(shipped_text(name), nl=False)
        return
    found = {key: Recipe.load(key).description for key in recipe_names()}
    if json_output:
        output.done([], None, found)
        return
    output.table([["recipe", "what it does"], *([key, text] for key, text in found.items())])
    output.done([], "voxloom recipes auto > my-recipe.yaml")
