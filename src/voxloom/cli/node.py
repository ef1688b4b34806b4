"""``voxloom node``: look into the queue of a DICOM node, and have a dead letter tried again."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from voxloom.serve.node.listing import Row


class Action(StrEnum):
    """What can be done."""

    list = "list"
    retry = "retry"
    forget = "forget"
    check = "check"


def command(
    action: Annotated[
        Action,
        typer.Argument(
            help="list: what lies in the queue; retry: try dead letters again; forget: remove a series, or a study with its series,"
            " so that it may come anew; check: read the settings and ask every destination."
        ),
    ],
    place: Annotated[Path, typer.Argument(help="Settings of the node (node.yaml), or its queue.")],
    series: Annotated[
        Optional[list[str]],
        typer.Argument(
            help="Keys of series or studies as `list` shows them, or their SeriesInstanceUIDs or StudyInstanceUIDs."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Of retry: all dead letters.")] = False,
    only: Annotated[
        Optional[str],
        typer.Option(
            "--state",
            help="Of list: only this state (receiving, unmatched, channel, waiting, ready, predicted, sent, dead, superseded).",
        ),
    ] = None,
    aet: Annotated[str, typer.Option(help="Of check: the node's AE title.")] = "VOXLOOM",
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Look into the queue of `voxloom serve --dicom`, whether it runs or not. A running node takes a wish up within seconds."""
    if action is Action.check:
        return _check(place, aet, json_output)
    from voxloom.cli import output
    from voxloom.serve.node.listing import rows_of

    queue = _queue_of(place)
    rows = rows_of(queue)
    if action is Action.list:
        rows = [row for row in rows if only in (None, row.state)]
        if not json_output:
            output.table(_table(rows), title=f"{len(rows)} in the queue")
        dead = any(row.state == "dead" for row in rows)
        following = ["voxloom", "node", "retry", place, "--all"] if dead else None
        return output.done([], following, [dataclasses.asdict(row) for row in rows] if json_output else None)
    keys = _keys(rows, series or [], everything, action, place)
    _ask(queue, action, keys)
    output.note(
        f"{action.value}: asked for {len(keys)} series; a running node does it now, another one at its next start"
    )
    return output.done([], ["voxloom", "node", "list", place], {action.value: keys} if json_output else None)


def _check(path: Path, aet: str, json_output: bool) -> None:
    from voxloom.cli import output
    from voxloom.errors import VoxloomError
    from voxloom.serve.node import load_settings
    from voxloom.serve.node.listing import unreachable

    settings = load_settings(path)
    failed = unreachable(settings, aet)
    if not json_output:
        rows = [[name, failed.get(name, "answers")] for name in settings.destinations]
        output.table([["destination", "state"], *rows])
    output.done([], None, {name: failed.get(name) for name in settings.destinations} if json_output else None)
    if failed:
        raise VoxloomError(f"{len(failed)} of {len(settings.destinations)} destinations cannot be reached")


def _queue_of(place: Path) -> Path:
    """The queue that settings name, or that is named itself."""
    if place.is_dir():
        return place
    from voxloom.serve.node import load_settings

    return load_settings(place).queue


def _keys(rows: list[Row], asked: list[str], everything: bool, action: Action, place: Path) -> list[str]:
    """Keys of the series and studies that are meant (BadInput where there is none of a name, or nothing is named)."""
    from voxloom.errors import BadInput
    from voxloom.serve.node.instance import key_of

    known = {row.series for row in rows}
    if everything:
        if action is not Action.retry:
            raise BadInput("--all goes with retry", None, "Name the series")
        return sorted({row.series for row in rows if row.state == "dead"})
    if not asked:
        raise BadInput("no series is named", place, f"List them: voxloom node list {place}")
    keys = {one: one if one in known else key_of(one) for one in asked}
    if lost := [one for one, key in keys.items() if key not in known]:
        raise BadInput(f"the series {lost[0]} is not in the queue", place, f"List them: voxloom node list {place}")
    return list(keys.values())


def _ask(queue: Path, action: Action, keys: list[str]) -> None:
    from voxloom.serve.node.wishes import Wish, ask

    for key in keys:
        ask(queue, Wish("retry" if action is Action.retry else "forget", key))


def _table(rows: list[Row]) -> list[list[str]]:
    names = ["key", "of", "result", "state", "images", "to", "tries", "changed", "why"]
    cells = [
        [row.series, row.kind, row.task, row.state, _images(row), row.to, str(row.attempts), row.changed, row.error]
        for row in rows
    ]
    return [names, *cells]


def _images(row: Row) -> str:
    return f"{row.instances} (+{row.apart} apart)" if row.apart else str(row.instances)
