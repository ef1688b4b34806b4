"""What lies in a queue, as rows for people; and whether destinations can be reached.

Reads the states that the node writes, whether it runs or not. Series are named by their keys: the first 32 hex digits of the SHA-256
of the SeriesInstanceUID (StudyInstanceUID), so that who knows a UID finds its series, and nobody else learns one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from voxloom.errors import BadInput, VoxloomError
from voxloom.serve.node.held import Series, Study
from voxloom.serve.node.sending import NotSentError, StoreScu
from voxloom.serve.node.settings import Destination, NodeSettings
from voxloom.serve.node.store import states_in


@dataclass(frozen=True)
class Row:
    """One result, or one series that has none.

    Parameters
    ----------
    series : key of the series; of a result that is made from several, of their study.
    kind : "series" or "study".
    task : ``vN-RULE``; "" for a series without.
    state : "receiving", "unmatched", "channel" (of its study's results alone), or a state of ``state.Task``.
    to : the destination; several with commas.
    attempts : of what is being tried or failed.
    changed : local time of the last step; "" while receiving.
    error : of the last try, what is waited for, or what should be known of a result.
    apart : instances whose UID has another content too.
    """

    series: str
    kind: str
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
    found = sorted(states_in(queue), key=lambda one: one.state.changed)
    return [row for one in found for row in (_of_series(one) if isinstance(one, Series) else _of_study(one))]


def _of_series(series: Series) -> Iterator[Row]:
    state, apart = series.state, len(list((series.folder / "apart").glob("*.dcm")))
    if series.is_receiving:
        yield _without_task(series, "receiving", apart, "")
    elif not state.tasks:
        channels = ", ".join(f"{fit.channel} of {fit.rule}" for fit in state.fits)
        yield _without_task(series, "channel" if channels else "unmatched", apart, channels)
    yield from _of_tasks(series, len(series.instances), apart)


def _of_study(study: Study) -> Iterator[Row]:
    return _of_tasks(study, sum(len(one.instances) for one in study.series), 0)


def _of_tasks(one: Series | Study, instances: int, apart: int) -> Iterator[Row]:
    for task in one.state.tasks:
        sends = [send for send in task.sends.values() if send.state != "sent"]
        attempts = max([send.attempts for send in sends], default=0) if task.predicting == "done" else task.attempts
        errors = [task.error, *(send.error for send in sends), task.note]
        error = next((text for text in errors if text), "")
        to = ", ".join(task.sends)
        changed = _local(one.state.changed)
        yield Row(one.key, one.kind, task.name, task.state, instances, to, attempts, changed, error, apart)


def _without_task(series: Series, state: str, apart: int, text: str) -> Row:
    changed = _local(series.state.changed) if series.state.version else ""
    return Row(series.key, series.kind, "", state, len(series.instances), "", 0, changed, text, apart)


def _local(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).isoformat(" ", "seconds")


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
