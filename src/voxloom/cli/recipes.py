"""``voxloom recipes``: list the shipped recipes and sweeps, or print one."""

from __future__ import annotations

from typing import Annotated, Any, Optional

import typer


def command(
    name: Annotated[Optional[str], typer.Argument(help="Print this recipe or sweep.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """List the shipped recipes and sweeps, or print one as YAML to start your own from."""
    from voxloom.cli import output
    from voxloom.recipe.recipe import Recipe
    from voxloom.recipe.shipped import recipe_names, shipped_text, sweep_names, sweep_text

    if name is not None:
        is_sweep = name in sweep_names()
        recipe = None if is_sweep else Recipe.load(name)
        if json_output:
            output.done([], None, sweep_keys(name) if recipe is None else recipe.model_dump(mode="json"))
        else:
            typer.echo(sweep_text(name) if is_sweep else shipped_text(name), nl=False)
        return
    found = {key: Recipe.load(key).description for key in recipe_names()}
    sweeps = {key: str(sweep_keys(key)["description"]) for key in sweep_names()}
    if json_output:
        output.done([], None, {"recipes": found, "sweeps": sweeps})
        return
    output.table([["recipe", "what it does"], *([key, text] for key, text in found.items())])
    output.table([["sweep", "what it does"], *([key, text] for key, text in sweeps.items())])
    output.done([], ["voxloom", "recipes", "auto", ">", "my-recipe.yaml"])


def sweep_keys(name: str) -> dict[str, Any]:
    """The keys of a shipped sweep; it cannot be checked as a whole before it has a data set."""
    from voxloom.recipe.shipped import sweep_text
    from voxloom.yamltext import read_yaml

    keys: dict[str, Any] = read_yaml(sweep_text(name), name)
    return keys
