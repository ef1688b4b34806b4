"""Results on their way: C-STORE or STOW-RS, one destination each, tried again with longer and longer pauses.

Knows destinations and what their answers mean; which result is due is told by the states of the series. The files of a result are sent
as they lie on the disk, so that a try after a crash sends the same instances under the same UIDs.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from voxloom.errors import VoxloomError
from voxloom.serve.node.audit import AuditLog
from voxloom.serve.node.held import Held
from voxloom.serve.node.instance import without_private
from voxloom.serve.node.metrics import Metrics
from voxloom.serve.node.settings import Destination, Retry
from voxloom.serve.node.state import Send, Task
from voxloom.serve.node.store import Store
from voxloom.serve.node.tls import client_context

#: The longest time between two looks at what is due.
_LOOK = 1.0
#: A pause is longer or shorter by up to this share, so that results do not come in step.
_JITTER = 0.1
#: Statuses with which an instance was stored all the same (PS3.4, table B.2-1: coercion, discarded elements, another class).
_STORED = (0x0000, 0xB000, 0xB006, 0xB007)


class NotSentError(Exception):
    """A destination did not take a result; the text is for people and names no patient."""


class Way(Protocol):
    """How files come to a destination."""

    def send(self, files: Sequence[Path]) -> None:
        """Send them all. Raises NotSentError."""


class StoreScu:
    """C-STORE with the contexts of what is sent and no others.

    Parameters
    ----------
    aet : one's own AE title.
    """

    def __init__(self, name: str, to: Destination, aet: str) -> None:
        self._name, self._to, self._aet = name, to, aet
        self._tls = client_context(to.tls)

    def send(self, files: Sequence[Path]) -> None:
        """Send files over one association."""
        from pydicom import dcmread

        kinds = {path: dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"]) for path in files}
        association = self._associated([(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID) for ds in kinds.values()])
        try:
            for number, (path, header) in enumerate(kinds.items()):
                self._store(association, path, header, number)
        finally:
            if association.is_established:
                association.release()
            else:
                association.abort()

    def echo(self) -> None:
        """Ask whether it is there (C-ECHO). Raises NotSentError."""
        from pydicom.uid import ImplicitVRLittleEndian

        association = self._associated([("1.2.840.10008.1.1", ImplicitVRLittleEndian)])
        answer = association.send_c_echo()
        association.release()
        if answer.get("Status") != 0:
            raise NotSentError(f"{self._name} does not answer C-ECHO")

    def _associated(self, contexts: Sequence[tuple[Any, Any]]) -> Any:
        from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
        from pynetdicom import evt
        from pynetdicom.ae import ApplicationEntity

        assert self._to.host is not None
        assert self._to.port is not None
        assert self._to.aet is not None
        entity = ApplicationEntity(self._aet)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = self._to.timeout
        entity.connection_timeout = min(10.0, self._to.timeout)
        for kind, syntax in dict.fromkeys(contexts):
            entity.add_requested_context(kind, [syntax])
            if syntax == ExplicitVRLittleEndian:  # what every peer must take
                entity.add_requested_context(kind, [ImplicitVRLittleEndian])
        tls = (self._tls, self._to.host) if self._tls is not None else None
        try:
            association = entity.associate(
                self._to.host,
                self._to.port,
                ae_title=self._to.aet,
                max_pdu=0,
                tls_args=tls,  # type: ignore[arg-type]
                evt_handlers=[(evt.EVT_CONN_OPEN, _without_delay)],
            )
        except (OSError, RuntimeError) as error:
            raise NotSentError(f"{self._name} cannot be reached ({type(error).__name__})") from None
        if not association.is_established:
            raise NotSentError(f"{self._name} {_why_not(association)}")
        return association

    def _store(self, association: Any, path: Path, header: Any, number: int) -> None:
        from pydicom import dcmread
        from pynetdicom import _config

        kind, syntax = header.SOPClassUID, header.file_meta.TransferSyntaxUID
        exact = any(c.abstract_syntax == kind and c.transfer_syntax == [syntax] for c in association.accepted_contexts)
        try:
            _config.STORE_SEND_CHUNKED_DATASET = True  # the bytes of the file, not a decoded and encoded copy
            answer = association.send_c_store(path if exact else dcmread(path), msg_id=number % 65535 + 1)
        except ValueError:
            raise NotSentError(f"{self._name} takes no {kind.name} in {syntax.name}") from None
        except (OSError, RuntimeError) as error:
            raise NotSentError(f"the association with {self._name} was lost ({type(error).__name__})") from None
        if "Status" not in answer:
            raise NotSentError(f"{self._name} gave no answer")
        if answer.Status not in _STORED:
            raise NotSentError(f"{self._name} refused it with status {answer.Status:04X}")


def _why_not(association: Any) -> str:
    """Why there is no association."""
    if association.is_rejected:
        return "rejected the association"
    if refused := {str(context.abstract_syntax.name) for context in association.rejected_contexts}:
        return f"takes none of the classes that are sent ({', '.join(sorted(refused))})"
    return "cannot be reached"


def _without_delay(event: Any) -> None:
    """Small messages leave at once."""
    with contextlib.suppress(OSError, AttributeError):
        event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class StowRs:
    """STOW-RS (DICOM PS3.18, 10.5), tried once: when it is tried again is told by the queue."""

    def __init__(self, name: str, to: Destination) -> None:
        from voxloom.serve.pacs import Pacs, Retry, headers_of

        assert to.url is not None
        self._name = name
        timeout = (min(10.0, to.timeout), to.timeout)
        self._pacs = Pacs(to.url, headers=headers_of(to.auth_file), timeout=timeout, retry=Retry(tries=1))

    def send(self, files: Sequence[Path]) -> None:
        """Send files, one request each."""
        try:
            self._pacs.store(files)
        except VoxloomError as error:
            raise NotSentError(f"{self._name}: {error}") from None


def way_to(name: str, to: Destination, aet: str) -> Way:
    """How a destination is reached."""
    return StoreScu(name, to, aet) if to.url is None else StowRs(name, to)


class Sender:
    """Sends what is due to one destination, in a thread of its own, so that one that is away holds no other up."""

    def __init__(self, name: str, way: Way, store: Store, retry: Retry, audit: AuditLog, metrics: Metrics) -> None:
        self._name, self._way, self._store, self._retry = name, way, store, retry
        self._audit, self._metrics = audit, metrics
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"node-to-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def stop(self, seconds: float = 10.0) -> None:
        """Finish what is being sent; what is not sent in time is sent after the next start."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout=seconds)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            for series, task in self._due():
                if self._stopping:
                    return
                self._try(series, task)
            self._wake.wait(_LOOK)

    def _due(self) -> list[tuple[Held[Any], Task]]:
        now = time.time()
        return [
            (series, task)
            for series in self._store.held()
            for task in series.state.tasks
            if task.predicting == "done" and _is_due(task.sends.get(self._name), now, self._retry)
        ]

    def _try(self, series: Held[Any], task: Task) -> None:
        started = time.monotonic()
        files = [series.folder / name for name in task.files]
        try:
            self._way.send(files)
        except NotSentError as error:
            self._failed(series, task, str(error))
        except Exception as error:  # one result that cannot be sent stops no other
            self._failed(series, task, f"{type(error).__name__}: {error}")
        else:
            self._change(series, task, lambda send: Send("sent", send.attempts + 1))
            self._metrics.count("voxloom_node_sends_total", destination=self._name, outcome="sent")
            seconds = round(time.monotonic() - started, 3)
            self._audit.tell(
                "sent", **series.named, task=task.name, to=self._name, instances=len(files), seconds=seconds
            )

    def _failed(self, series: Held[Any], task: Task, text: str) -> None:
        error = without_private(text, series.private_values())

        def later(send: Send) -> Send:
            attempts = send.attempts + 1
            pause = self._retry.pause(attempts) * random.uniform(1 - _JITTER, 1 + _JITTER)
            state = "dead" if attempts >= self._retry.attempts else "waiting"
            return replace(send, state=state, attempts=attempts, due=time.time() + pause, error=error)  # type: ignore[arg-type]

        send = self._change(series, task, later)
        outcome = "dead letter" if send.state == "dead" else "not sent"
        self._metrics.count("voxloom_node_sends_total", destination=self._name, outcome=outcome)
        self._audit.tell(outcome, **series.named, task=task.name, to=self._name, attempts=send.attempts, why=error)

    def _change(self, series: Held[Any], task: Task, how: Callable[[Send], Send]) -> Send:
        found: list[Send] = []

        def changed(state: Any) -> Any:
            now = next(one for one in state.tasks if one.name == task.name)
            found.append(how(now.sends[self._name]))
            return replace(state.with_task(now.sent_to(self._name, found[-1])), changed=time.time())

        series.change(changed)
        return found[-1]


def _is_due(send: Send | None, now: float, retry: Retry) -> bool:
    """Whether a result waits no longer; a clock that was set back does not hold one up for ever."""
    return send is not None and send.state == "waiting" and (send.due <= now or send.due > now + 2 * retry.most)
