"""``voxloom cache``: what a cache of prepared cases holds, and removing what is no longer used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from voxloom.prepare.usage import CacheFile


def command(
    folder: Annotated[Path, typer.Argument(help="Cache folder: `cache` beside a run, or the -o of `voxloom prepare`.")],
    days: Annotated[
        float | None, typer.Option("--days", min=0, help="Remove what was last used so many days ago, or earlier.")
    ] = None,
    limit: Annotated[
        str | None, typer.Option("--limit", help="Remove the longest unused until this size is kept, e.g. 20GB.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all that no running process uses.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show a cache, or free its space. What a running process uses is kept; what is missing later is made again."""
    from voxloom.cli import output
    from voxloom.errors import BadInput
    from voxloom.prepare.usage import clean_cache, list_cache

    if everything and (days is not None or limit is not None):
        raise BadInput("--all goes with neither --days nor --limit", None, "Give one of them")
    removed: list[CacheFile] = []
    if everything or days is not None or limit is not None:
        removed = clean_cache(folder, unused_days=days or 0.0, limit=parse_size(limit))
        output.note(f"Removed {len(removed)} files, {_size(removed)}")
    files = list_cache(folder)
    if not json_output:
        typer.echo(_told(files))
    facts = {
        "files": len(files),
        "bytes": sum(file.size for file in files),
        "in_use": sum(file.in_use for file in files),
        "removed": [str(file.path) for file in removed],
        "freed_bytes": sum(file.size for file in removed),
    }
    next_step = ["voxloom", "cache", folder, "--days", 30] if files and not removed else None
    output.done([], next_step, facts if json_output else None)


def parse_size(text: str | None) -> int | None:
    """Bytes of a size such as 500MB or 20GiB."""
    from pydantic import ByteSize, TypeAdapter, ValidationError

    from voxloom.errors import BadInput

    if text is None:
        return None
    try:
        return int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError as error:
        raise BadInput(f"{text!r} is not a size", "--limit", "Write it like 500MB or 20GB") from error


def _told(files: Sequence[CacheFile]) -> str:
    """Files (the longest unused first) in words."""
    in_use = [file for file in files if file.in_use]
    used = f"; last used from {_day(files[0].used)} to {_day(files[-1].used)}" if files else ""
    return f"{len(files)} files, {_size(files)}; in use now {len(in_use)}, {_size(in_use)}{used}"


def _size(files: Sequence[CacheFile]) -> str:
    return f"{sum(file.size for file in files) / 1e6:.1f} MB"


def _day(seconds: float) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d")
