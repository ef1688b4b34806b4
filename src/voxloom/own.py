"""Parts that another package brings: tasks, networks, losses, augmentations and metrics of one's own.

A recipe names such a part ``package.module:OBJECT``, or by a short name under which an installed package offers it (entry points of
the group ``voxloom.networks``, ...). Importing a module runs its code, as ``python -m`` would: name only what you trust. Knows no
part.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from voxloom.errors import BadInput


def offered(group: str) -> dict[str, str]:
    """Short name -> ``package.module:OBJECT`` of what installed packages offer under a group."""
    return {point.name: point.value for point in entry_points(group=group)}


def is_own(name: object, group: str) -> bool:
    """Whether a name means a part of another package."""
    return isinstance(name, str) and (":" in name or name in offered(group))


def own_part(name: str, group: str, key: str) -> Any:
    """The object that a name means.

    Parameters
    ----------
    name : ``package.module:OBJECT``, or a short name.
    group : of entry points, for short names.
    key : of the recipe that names it, for errors.

    Raises
    ------
    BadInput : there is no such name, or its module cannot be imported.
    """
    place = offered(group).get(name, name)
    module, _, attribute = place.partition(":")
    if not module or not attribute:
        known = ", ".join(offered(group)) or "none"
        what = f"`{name}` means no part of another package (offered by installed ones: {known})"
        raise BadInput(what, f"`{key}` of the recipe", "Write package.module:OBJECT")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        fix = "Install the package that has it, or correct the name"
        raise BadInput(f"`{name}` cannot be loaded ({error})", f"`{key}` of the recipe", fix) from error


def made(
    part: Callable[..., Any],
    given: Mapping[str, Any],
    options: Mapping[str, Any],
    key: str,
    needed: tuple[str, ...] = (),
) -> Any:
    """Call a part with the options of the recipe and with what Voxloom knows, as far as its signature asks for it.

    Parameters
    ----------
    given : what is known; an argument of that name gets it. ``needed`` names those that the part must ask for.
    options : keys of the recipe, all of which the part must take.

    Raises
    ------
    BadInput : it does not take these arguments.
    """
    name = getattr(part, "__name__", str(part))
    asked = inspect.signature(part).parameters
    takes_all = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in asked.values())
    lacking = [one for one in needed if one not in asked and not takes_all]
    if lacking:
        raise BadInput(f"{name} has no argument {lacking[0]}", f"`{key}` of the recipe", "Add it to the class")
    known = {one: value for one, value in given.items() if one in asked or (takes_all and one in needed)}
    try:
        return part(**{**known, **options})
    except (TypeError, ValueError) as error:
        raise BadInput(f"{name} cannot be made ({error})", f"`{key}` of the recipe", "Correct its options") from error
