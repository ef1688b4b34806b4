"""Parts that another package brings: tasks, networks, losses, augmentations and metrics of one's own.

A recipe names such a part ``package.module:OBJECT``, or by a short name under which an installed package offers it (entry points of
the group ``voxloom.networks``, ...). Importing a module runs its code, as ``python -m`` would: name only what you trust. Knows no
part.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import site
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from voxloom.errors import BadInput

_PLACE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
#: Modules that parts were taken from.
_used: set[str] = set()
#: Bytes of one's own modules that travel to other machines; larger packages are to be installed there.
MOST_BYTES = 64 * 2**20


@cache
def offered(group: str) -> Mapping[str, str]:
    """Short name -> ``package.module:OBJECT`` of what installed packages offer under a group.

    Asked once: the system reads a file of every installed package for it, and tables ask for every column of every row.
    """
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
        found = getattr(import_module(module), attribute)
        if not module.startswith("voxloom."):
            _used.add(module)
        return found
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


def note_modules(values: object) -> None:
    """Load the modules that values of a recipe name as ``package.module:OBJECT``, so that ``own_files`` knows them.

    Parameters
    ----------
    values : of a recipe, nested. What cannot be loaded is left to whoever uses it.
    """
    for place in places_in(values):
        with contextlib.suppress(BadInput):
            own_part(place, "", "")


def places_in(values: object) -> Iterator[str]:
    """Every ``package.module:OBJECT`` in nested values, keys of mappings included; nothing is imported."""
    if isinstance(values, str):
        if _PLACE.fullmatch(values):
            yield values
    elif isinstance(values, Mapping):
        yield from places_in([*values, *values.values()])
    elif isinstance(values, list | tuple):
        for value in values:
            yield from places_in(value)


def own_files() -> dict[str, Path]:
    """What other machines lack: the files of packages, and single modules, that parts were taken from, and of modules beside them.

    Returns
    -------
    File by its path below the folder that Python imports it from. Installed packages are left out: they are to be installed on
    every machine.

    Raises
    ------
    BadInput : they are larger than ``MOST_BYTES``.
    """
    roots = {root for name in _used if (root := _root(sys.modules[name])) is not None and not _installed(root)}
    found: dict[str, Path] = {}
    for name, module in list(sys.modules.items()):
        if _root(module) in roots:
            found |= _files_of(name, module)
    size = sum(path.stat().st_size for path in found.values())
    if size > MOST_BYTES:
        what = f"the modules of one's own have {size >> 20} MiB, at most {MOST_BYTES >> 20} travel to other machines"
        raise BadInput(what, ", ".join(sorted(map(str, roots))), "Install their package on every machine")
    return found


def _root(module: ModuleType) -> Path | None:
    """The folder of ``sys.path`` that a module was imported from; None for one that is no file."""
    file = getattr(module, "__file__", None)
    if not file or module.__name__ in ("__main__", "__mp_main__") or not Path(file).is_file():
        return None
    parts = module.__name__.count(".") + (Path(file).stem == "__init__")
    return Path(file).absolute().parents[parts]


def _installed(root: Path) -> bool:
    places = {Path(path) for path in (*sysconfig.get_paths().values(), *site.getsitepackages())}
    return root in places or root.is_relative_to(sysconfig.get_paths()["stdlib"])


def _files_of(name: str, module: ModuleType) -> dict[str, Path]:
    """All files of a top-level package; the file of a single module."""
    file = Path(str(module.__file__)).absolute()
    if "." not in name and file.stem != "__init__":
        return {file.name: file}
    root = _root(module)
    assert root is not None, "asked of modules that are files"
    inside = (root / name.partition(".")[0]).rglob("*")
    return {str(p.relative_to(root)): p for p in inside if p.is_file() and "__pycache__" not in p.parts}
