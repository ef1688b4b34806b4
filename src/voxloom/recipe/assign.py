"""Dotted keys put into the mapping of a recipe: what ``--set``, sweeps and ``under_budget`` do.

Knows where a dotted key belongs. Does not check values; ``Recipe.check`` does, when all keys are in their places.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from voxloom.errors import BadInput
from voxloom.recipe.keys import nearest


def assign(values: Mapping[str, Any], assignments: Mapping[str, Any], *, without_none: bool = False) -> dict[str, Any]:
    """The keys of a recipe with some of them changed.

    A network of another kind keeps the keys that it has too, and loses those that are another kind's.

    Parameters
    ----------
    without_none : a key that is set to None is taken out instead, and so left to its default or the planner.
    """
    changed: dict[str, Any] = deepcopy(dict(values))
    for key, value in assignments.items():
        place, last = _place_of(changed, key)
        if value is None and without_none:
            place.pop(last, None)
        else:
            place[last] = value
    kind = assignments.get("network.kind")
    if kind is not None and kind != (values.get("network") or {}).get("kind", "unet"):
        _fit_network(changed, str(kind), set(assignments))
    return changed


def _place_of(values: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    """Where a dotted key belongs: its section, and its last part (BadInput when there is no such section)."""
    place, (*parents, last) = values, key.split(".")
    for depth, parent in enumerate(parents):
        if depth == 0 and parent not in values:
            fix = nearest(
                parent, list(values), f"Sections: {', '.join(k for k, v in values.items() if isinstance(v, dict))}"
            )
            raise BadInput(f"there is no section `{parent}`", key, fix)
        below = place.get(parent)
        if parents[: depth + 1] == ["training", "loss"] and isinstance(below, str):
            below = {"kind": below}  # a loss may be written by its name alone
        if below is None or below == [] or below == ():
            below = {}
        if not isinstance(below, dict):
            whole = ".".join(parents[: depth + 1])
            raise BadInput(f"`{whole}` is {below!r}, which has no keys of its own", key, f"Set {whole} as a whole")
        place[parent] = below
        place = below
    return place, last


def _fit_network(values: dict[str, Any], kind: str, assigned: set[str]) -> None:
    """Drop what a network of another kind does not have; keys that were assigned stay, to be refused by name."""
    from voxloom.networks import network_kinds

    family = network_kinds().get(kind)
    if family is None:
        return  # Recipe.check names the kinds there are
    known = set(family.model_fields)
    network = values["network"]
    values["network"] = {k: v for k, v in network.items() if k in known or f"network.{k}" in assigned}
    values["under_budget"] = {
        key: value
        for key, value in (values.get("under_budget") or {}).items()
        if not key.startswith("network.") or key.removeprefix("network.") in known
    }
