"""A recipe that differs from another by a few lines: ``extends:`` names the other one.

Knows how two mappings of recipe keys become one. Does not check keys; ``recipe`` does, when they are together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.recipe.keys import nearest
from voxloom.recipe.shipped import recipe_names, shipped_text
from voxloom.yamltext import read_text, read_yaml

#: The key of a recipe file that names the recipe it starts from.
EXTENDS = "extends"


def recipe_mapping(text: str, where: str | Path, under: tuple[str, ...] = ()) -> dict[str, Any]:
    """The keys of a recipe's YAML text, over those of the recipe that it extends.

    Parameters
    ----------
    where : the file, or what is named in errors; ``extends`` may name a file beside it.
    under : the recipes that extend this one, outermost first.

    Raises
    ------
    BadInput : no valid YAML, no mapping, or a recipe to extend that does not exist or extends this one.
    """
    values = read_yaml(text, where) or {}
    if not isinstance(values, dict):
        raise BadInput("a recipe is a list of `key: value` lines", where, "See an example: voxloom recipes auto")
    named = values.pop(EXTENDS, None)
    if named is None:
        return values
    base, source = _base(str(named), where)
    if source in under:
        raise BadInput(f"`{EXTENDS}: {named}` leads back to this recipe", where, "Leave it out in one of them")
    return laid_over(recipe_mapping(base, source, (*under, source)), values)


def laid_over(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of ``base`` with ``values`` laid over them, key by key within a section.

    A network of another kind has other keys, so a ``network`` that names another ``kind`` starts anew.
    """
    result = dict(base)
    for key, value in values.items():
        below = base.get(key)
        if not isinstance(value, Mapping) or not isinstance(below, Mapping):
            result[key] = value
        elif key == "network" and value.get("kind", below.get("kind")) not in (None, below.get("kind", "unet")):
            result[key] = dict(value)
        else:
            result[key] = {**_without_epochs(key, below, value), **value}
    return result


def _without_epochs(section: str, below: Mapping[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
    """``below`` without epochs where ``value`` counts in steps: the epochs would stand in their place."""
    counts_steps = section == "training" and "steps" in value and "epochs" not in value
    return {key: old for key, old in below.items() if not (counts_steps and key == "epochs")}


def _base(name: str, where: str | Path) -> tuple[str, str]:
    """The text of the recipe that is extended, and what it is called in errors."""
    if name in recipe_names():
        return shipped_text(name), f"recipe {name}"
    path = Path(where).parent / name
    if not path.is_file():
        fix = nearest(name, recipe_names(), "Name a shipped recipe, or a file beside this one")
        raise BadInput(f"there is no recipe `{name}` to extend", where, fix)
    return read_text(path), str(path)
