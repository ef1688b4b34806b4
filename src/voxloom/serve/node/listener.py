"""The Storage SCP: who may send, and what every instance is answered.

Knows associations, statuses (DICOM PS3.4 B.2.3, PS3.7 annex C) and limits. An instance is answered with success once the store says
that it is on the disk. Does not know what is done with a series.
"""

from __future__ import annotations

import logging
import threading
import time
from socketserver import BaseServer
from typing import TYPE_CHECKING, Any

from voxloom.errors import BadInput
from voxloom.serve.node.audit import AuditLog, LibraryLog
from voxloom.serve.node.instance import file_meta, key_of, read_instance
from voxloom.serve.node.metrics import Metrics
from voxloom.serve.node.settings import NodeSettings, Peer
from voxloom.serve.node.store import FullError, Store

if TYPE_CHECKING:
    from pynetdicom.events import Event

    from voxloom.serve.node.wire import BoundedSocket, NodeServer

SUCCESS, FULL, NOT_UNDERSTOOD, FAILED = 0x0000, 0xA700, 0xC000, 0x0110
#: Of A-ASSOCIATE-RJ (PS3.8, table 9-21): result, source, reason.
_CALLING_UNKNOWN, _CALLED_UNKNOWN, _TOO_MANY = (1, 1, 3), (1, 1, 7), (2, 3, 2)
#: Seconds between two looks at how much of the disk is free.
_DISK_LOOK = 1.0
#: Seconds that an answer has to leave before its association is ended.
_ANSWERS_LEAVE = 0.2
#: Seconds that all associations together have to end.
_ENDS_IN = 2.0


class Listener:
    """Takes instances."""

    def __init__(self, settings: NodeSettings, store: Store, audit: AuditLog, metrics: Metrics) -> None:
        self._settings, self._store, self._audit, self._metrics = settings, store, audit, metrics
        self._server: NodeServer | None = None
        self._stopping = False
        self._busy = 0
        self._idle = threading.Condition()
        self._free, self._looked = 0, float("-inf")
        self._library = LibraryLog(audit)

    def start(self, host: str, port: int, aet: str, tls: Any) -> int:
        """Listen; the port (which the system chooses where 0 is given). Raises BadInput where it cannot be had."""
        from pynetdicom import _config, evt
        from pynetdicom.ae import ApplicationEntity
        from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

        from voxloom.serve.node.wire import ANNOUNCED_PDU, Bounds, Handler, NodeServer

        quiet(self._library)
        _config.UNRESTRICTED_STORAGE_SERVICE = True
        _config.LOG_HANDLER_LEVEL = "none"
        limits = self._settings.limits
        entity = ApplicationEntity(aet)
        entity.maximum_pdu_size = ANNOUNCED_PDU
        entity.maximum_associations = 1_000_000  # counted here, where the reason is told
        entity.network_timeout = entity.dimse_timeout = limits.idle
        entity.acse_timeout = min(30.0, limits.idle)
        entity.add_supported_context(Verification)
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_C_STORE, self._stored),
            (evt.EVT_C_ECHO, self._echoed),
            (evt.EVT_RELEASED, self._ended, ["released"]),
            (evt.EVT_ABORTED, self._ended, ["aborted"]),
            (evt.EVT_CONN_CLOSE, self._ended, ["lost"]),
        ]
        try:
            server: Any = entity.make_server(
                (host, port), evt_handlers=handlers, ssl_context=tls, server_class=NodeServer
            )
        except OSError as error:
            raise BadInput(
                f"cannot be listened on ({error.strerror or error})", f"{host}:{port}", "Choose another port"
            ) from None
        server.RequestHandlerClass = Handler
        server.bounds = Bounds(limits.instance, limits.rate, limits.idle)
        server.may_connect = self._may_connect
        server.failed = lambda address, kind: self._refused("connection", address, None, kind or "error")
        self._server = server
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="node-listener", daemon=True
        ).start()
        return int(server.server_address[1])

    def stop(self, seconds: float = 10.0) -> None:
        """Take nobody on, let instances that are being written be answered, and end all associations."""
        self._stopping = True
        server = self._server
        if server is None:
            return
        BaseServer.shutdown(server)  # pynetdicom's own closes the socket too, before anybody was answered
        with self._idle:
            self._idle.wait_for(lambda: not self._busy, timeout=seconds)
        time.sleep(_ANSWERS_LEAVE)
        open_now = server.active_associations
        for association in open_now:
            association.abort(block=False)
        until = time.monotonic() + _ENDS_IN
        for association in open_now:
            association.join(timeout=max(0.0, until - time.monotonic()))
        server.server_close()
        logging.getLogger("pynetdicom").removeHandler(self._library)

    @property
    def open_associations(self) -> int:
        """How many associations there are."""
        return len(self._server.active_associations) if self._server else 0

    def _may_connect(self, address: str) -> bool:
        peers = self._settings.peers
        if not peers or any(peer.comes_from(address) for peer in peers):
            return True
        self._refused("connection", address, None, "unknown address")
        return False

    def _requested(self, event: Event) -> None:
        """Reject who is not meant, not known or one too many."""
        association: Any = event.assoc
        request = association.requestor.primitive
        calling, called = request.calling_ae_title.strip(), request.called_ae_title.strip()
        address = association.requestor.address
        association.requestor.ae_title = calling
        why, answer = self._objection(association, calling, called, address)
        if answer is None:
            self._metrics.count("voxloom_node_associations_total", outcome="accepted")
            self._audit.tell("association accepted", peer=calling, address=address)
            return
        self._refused("association", address, calling, why)
        association.acse.send_reject(*answer)
        association.is_rejected = True
        association.kill()

    def _objection(
        self, association: Any, calling: str, called: str, address: str
    ) -> tuple[str, tuple[int, int, int] | None]:
        settings = self._settings
        if called != association.acceptor.ae_title.strip():
            return "called by another AE title", _CALLED_UNKNOWN
        peer = next((peer for peer in settings.peers if peer.aet == calling), None)
        if settings.peers and peer is None:
            return "unknown AE title", _CALLING_UNKNOWN
        if peer is not None and not peer.comes_from(address):
            return "an AE title that has another address", _CALLING_UNKNOWN
        if self._stopping or self._one_too_many(calling, peer):
            return "too many associations", _TOO_MANY
        return "", None

    def _one_too_many(self, calling: str, peer: Peer | None) -> bool:
        assert self._server is not None
        now = [one.requestor.ae_title for one in self._server.active_associations if one.requestor.primitive]
        return len(now) > self._settings.limits.associations or (
            peer is not None and now.count(calling) > peer.associations
        )

    def _refused(self, what: str, address: str, peer: str | None, why: str) -> None:
        self._metrics.count("voxloom_node_associations_total", outcome="rejected")
        self._audit.tell(f"{what} refused", peer=peer, address=address, why=why)

    def _echoed(self, event: Event) -> int:
        _socket_of(event).message_ended()
        return SUCCESS

    def _stored(self, event: Event) -> int:
        """Answer one instance."""
        with self._idle:
            self._busy += 1
        try:
            _socket_of(event).message_ended()
            status, outcome = self._taken(event)
            _socket_of(event).tally[outcome] += 1
            self._metrics.count("voxloom_node_instances_total", outcome=outcome)
            return status
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def _taken(self, event: Event) -> tuple[int, str]:
        if self._stopping:
            return FULL, "stopping"
        peer = event.assoc.requestor.ae_title.strip()
        if self._disk_is_full():
            self._audit.tell("instance refused", peer=peer, why="the disk is nearly full", status="A700")
            return FULL, "disk full"
        try:
            return SUCCESS, self._keep(event, peer)
        except BadInput as error:
            self._audit.tell("instance refused", peer=peer, why=error.what, status="C000")
            return NOT_UNDERSTOOD, "not understood"
        except FullError:
            self._audit.tell("instance refused", peer=peer, why="the series has too many instances", status="A700")
            return FULL, "series full"
        except OSError as error:
            self._audit.tell("instance refused", peer=peer, why=error.strerror or "the disk", status="A700")
            return FULL, "disk error"
        except Exception as error:  # the peer gets an answer, whatever went wrong
            self._audit.tell("instance refused", peer=peer, why=type(error).__name__, status="0110")
            return FAILED, "failed"

    def _keep(self, event: Event, peer: str) -> str:
        request: Any = event.request
        syntax, uid = str(event.context.transfer_syntax), str(request.AffectedSOPInstanceUID)
        meta = file_meta(str(request.AffectedSOPClassUID), uid, syntax)
        instance = read_instance(meta, request.DataSet.getbuffer(), syntax, uid)
        most = self._settings.limits.instances
        series, kept = self._store.keep(instance, at=time.monotonic(), sender=peer, most=most)
        if kept == "new":
            self._metrics.count("voxloom_node_bytes_total", instance.size)
            if series.state.version:
                self._audit.tell("late instance", series=series.key, instance=key_of(instance.uid), peer=peer)
        if kept == "apart":
            why = "its UID has another content already"
            self._audit.tell("kept apart", series=series.key, instance=key_of(instance.uid), peer=peer, why=why)
        return kept

    def _disk_is_full(self) -> bool:
        now = time.monotonic()
        if now - self._looked > _DISK_LOOK:
            self._free, self._looked = self._store.free_bytes(), now
        return self._free < self._settings.limits.disk_free

    def _ended(self, event: Event, how: str) -> None:
        """Tell once what an association brought."""
        try:
            socket = _socket_of(event)
        except AttributeError:
            return
        tally, socket.tally = socket.tally, type(socket.tally)()
        if tally or how != "lost":
            self._audit.tell(
                f"association {how}",
                peer=event.assoc.requestor.ae_title.strip(),
                address=event.assoc.requestor.address,
                **{f"instances {outcome}": count for outcome, count in tally.items()},
            )


def quiet(library: logging.Handler) -> None:
    """Let libraries tell the audit log that something was odd, and nobody what: their texts may quote headers."""
    import pydicom

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    for name in ("pynetdicom", "pydicom"):
        logger = logging.getLogger(name)
        logger.handlers = [library]
        logger.propagate = False


def _socket_of(event: Event) -> BoundedSocket:
    found: Any = event.assoc.dul.socket
    return found
