"""What lies in a queue, as rows for people; and whether destinations can be reached.

Reads the states that the node writes, whether it runs or not. Series are named by their keys: the first 32 hex digits of the SHA-256
of the SeriesInstanceUID, so that who knows a UID finds its series, and nobody else learns one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from voxloom.errors import BadInput, VoxloomError
from voxloom.serve.node.sending import NotSentError, StoreScu
from voxloom.serve.node.settings import Destination, NodeSettings
from voxloom.serve.node.store import Series, states_in


@dataclass(frozen=True)
class Row:
    """One result, or one series that has none.

    Parameters
    ----------
    task : ``vN-RULE``; "" for a series without.
    state : "receiving", "unmatched", or a state of ``state.Task``.
    to : the destination; several with commas.
    attempts : of what is being tried or failed.
    changed : local time of the last step; "" while receiving.
    error : of the last try.
    apart : instances whose UID has another content too.
    """

    series: str
    task: str
    state: str
    instances: int
    to: str
    attempts: int
    changed: str
    error: str
    apart: int


def rows_of(queue: Path) -> list[Row]:
    """Everything in a queue, what was moved on last at the end (BadInput where there is no queue)."""
    if not (queue / "series").is_dir():
        raise BadInput(
            "is not a queue of a node", queue, "Give the settings of the node, or the folder they name as queue:"
        )
    found = sorted(states_in(queue), key=lambda series: series.state.changed)
    return [row for series in found for row in _rows(series)]


def _rows(series: Series) -> Iterator[Row]:
    state, apart = series.state, len(list((series.folder / "apart").glob("*.dcm")))
    changed = datetime.fromtimestamp(state.changed).isoformat(" ", "seconds") if state.version else ""
    if series.is_receiving:
        yield Row(series.key, "", "receiving", len(series.instances), "", 0, changed, "", apart)
    elif not state.tasks:
        yield Row(series.key, "", "unmatched", len(series.instances), "", 0, changed, "", apart)
    for task in state.tasks:
        sends = [send for send in task.sends.values() if send.state != "sent"]
        attempts = max([send.attempts for send in sends], default=0) if task.predicting == "done" else task.attempts
        errors = [task.error, *(send.error for send in sends)]
        error = next((text for text in errors if text), "")
        to = ", ".join(task.sends)
        yield Row(series.key, task.name, task.state, len(series.instances), to, attempts, changed, error, apart)


def unreachable(settings: NodeSettings, aet: str) -> dict[str, str]:
    """Why destinations cannot be reached, by their names; asked by C-ECHO or by a query (QIDO-RS)."""
    found = {name: _objection(name, to, aet) for name, to in settings.destinations.items()}
    return {name: why for name, why in found.items() if why}


def _objection(name: str, to: Destination, aet: str) -> str:
    try:
        if to.url is None:
            StoreScu(name, to, aet).echo()
        else:
            from voxloom.serve.pacs import Pacs, Retry, headers_of

            timeout = (min(10.0, to.timeout), to.timeout)
            Pacs(to.url, headers=headers_of(to.auth_file), timeout=timeout, retry=Retry(tries=1)).find(most=1)
    except (NotSentError, VoxloomError) as error:
        return str(error)
    return ""
