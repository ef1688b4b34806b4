"""Arguments of commands that lie elsewhere (``s3://``, ``https://``, ...): fetched before the command, and sent after it.

Knows which parameters name places to write to; any other path may be fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.remote import address_of, exists, fetch, local_place, send

#: Places to write to that must be on this disk: others work in them while the command runs, or they hold secrets.
_HERE = ("cache", "key", "link", "state")


def localized(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The arguments with local copies in the place of addresses, and the address that the result is to be sent to.

    Raises
    ------
    BadInput, MissingExtra, VoxloomError : see ``voxloom.remote.fetch``.
    """
    target = None
    local: dict[str, Any] = {}
    for name, value in arguments.items():
        if name == "out" and isinstance(value, Path) and (target := address_of(value)) is not None:
            local[name] = _work_place(target, bool(arguments.get("resume")))
        elif isinstance(value, list):
            local[name] = [_fetched(name, one) for one in value]
        else:
            local[name] = _fetched(name, value)
    return local, target


def _fetched(name: str, value: Any) -> Any:
    address = address_of(value) if isinstance(value, Path) else None
    if address is None:
        return value
    if name in _HERE:
        raise BadInput(f"--{name} must be a folder or file of this machine", address, "Choose a local path")
    from voxloom.cli import output

    with output.progress_bar(f"Fetching {address}") as progress:
        return fetch(address, progress)


def _work_place(address: str, resume: bool) -> Path:
    """Where the result is made: what an interrupted command left, a copy of what lies at the address, or a new place."""
    place = local_place(address)
    if resume and place.exists():
        return place
    if exists(address):
        return fetch(address)
    if place.exists():
        raise BadInput(f"an earlier result was not sent, and lies in {place}", address, "Send or remove it")
    return place


def deliver(local: Path, address: str) -> None:
    """Send a result, and say so."""
    from voxloom.cli import output

    with output.progress_bar(f"Sending to {address}") as progress:
        sent = send(local, address, progress)
    output.note(f"Sent {sent} files to {address}")
