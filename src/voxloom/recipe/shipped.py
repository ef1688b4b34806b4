"""The files that ship with Voxloom: recipes, and sweeps over them.

Knows the folder ``voxloom/recipes``. Does not know what is in the files.
"""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable

_ENDING = ".yaml"


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    return _names(_recipes())


def shipped_text(name: str) -> str:
    """YAML text of a shipped recipe."""
    return _recipes().joinpath(name + _ENDING).read_text(encoding="utf-8")


def sweep_names() -> list[str]:
    """Names of the shipped sweeps."""
    return _names(_sweeps())


def sweep_text(name: str) -> str:
    """YAML text of a shipped sweep."""
    return _sweeps().joinpath(name + _ENDING).read_text(encoding="utf-8")


def _recipes() -> Traversable:
    return resources.files("voxloom") / "recipes"


def _sweeps() -> Traversable:
    return _recipes() / "sweeps"


def _names(folder: Traversable) -> list[str]:
    return sorted(item.name.removesuffix(_ENDING) for item in folder.iterdir() if item.name.endswith(_ENDING))
