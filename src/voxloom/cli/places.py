"""What a command is to read and where it is to write: refused before the work begins when that cannot be.

Knows the file system, which options name runs and which a place to write to; does not know what is written.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from voxloom.cli.remote import deliver, localized
from voxloom.errors import BadInput

#: Parameters that name a place to write to.
_PLACES = ("out", "cache", "key", "link", "state")
#: Parameters that name runs.
_RUNS = ("run", "runs", "members")
#: Commands whose -o is a file; that of the others is a folder.
_FILES = ("index", "points", "show", "aggregate", "importance", "curve", "rank", "fairness", "mixed")


def checked(name: str, command: Callable[..., None]) -> Callable[..., None]:
    """The command ``name``; places that cannot be written to are refused first, and addresses fetched and sent."""

    @functools.wraps(command)
    def guarded(**arguments: Any) -> None:
        arguments, target = localized(arguments)
        refuse_runs(name, arguments)
        refuse_places(name, arguments)
        command(**arguments)
        if target is not None:
            deliver(arguments["out"], target)

    return guarded


def refuse_runs(name: str, arguments: Mapping[str, Any]) -> None:
    """Refuse runs that cannot do what the command does, before it does anything."""
    from voxloom.tasks.abilities import VERBS, ask_folders

    given = [arguments.get(option) for option in _RUNS]
    if name in VERBS:
        ask_folders(name, [path for one in given for path in (one if isinstance(one, list) else [one]) if path])


def refuse_places(name: str, arguments: Mapping[str, Any]) -> None:
    """Refuse places below a file, folders in the place of a file, and files in the place of a folder."""
    for option in _PLACES:
        given = arguments.get(option)
        for path in given if isinstance(given, list) else [given]:
            if path is not None:
                refuse_place(Path(path), file=option in ("key", "link") or name in _FILES or _is_page(name, path))


def _is_page(name: str, path: Path) -> bool:
    return (name, path.suffix) in (("inspect", ".html"), ("export", ".zip"))


def refuse_place(path: Path, *, file: bool) -> None:
    """Refuse one place.

    Parameters
    ----------
    file : whether a file is to be written, else a folder.
    """
    if file and path.is_dir():
        raise BadInput("is a folder, and a file is to be written", path, "Name a file in it")
    if not file and path.exists() and not path.is_dir():
        raise BadInput("is a file, and a folder is to be written", path, "Choose another name")
    above = next((parent for parent in path.absolute().parents if parent.exists()), None)
    if above is not None and not above.is_dir():
        raise BadInput(f"cannot be made: {above} is a file", path, "Choose another place")
