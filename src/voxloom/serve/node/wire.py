"""The bytes of an association: bounded, paced, without Nagle's delay, and a TLS handshake that holds nobody else up.

Knows pynetdicom's server and socket, of which it changes five things: how much a peer can make this process hold (a length in a PDU
is believed up to ``LONGEST_PDU``, a message up to the largest instance), how long one PDU may take, how fast bytes are taken, that
a peer's handshake is done in that peer's own thread, and that an instance is answered by the thread that has read it.
"""

from __future__ import annotations

import queue
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

#: What is announced as the longest PDU: fewer and longer ones cost less.
ANNOUNCED_PDU = 1 << 18
#: A longer one is no honest one, whatever kind it is.
LONGEST_PDU = 1 << 20
#: What a request may hold beside its data set.
_BESIDE = 1 << 16


@dataclass(frozen=True)
class Bounds:
    """What one association may use up, see ``settings.Limits``."""

    message: int
    rate: int | None
    idle: float


class BoundedSocket(AssociationSocket):
    """One association's socket.

    Attributes
    ----------
    tally : what became of its instances.
    """

    def __init__(self, assoc: Any, client_socket: socket.socket, bounds: Bounds) -> None:
        super().__init__(assoc, client_socket=client_socket)
        client_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client_socket.settimeout(bounds.idle)
        self.bounds = bounds
        self.tally: Counter[str] = Counter()
        self._message = 0
        self._start, self._taken = time.monotonic(), 0

    def message_ended(self) -> None:
        """The next byte belongs to another message."""
        self._message = 0

    def recv(self, nr_bytes: int) -> bytearray:
        """Exactly so many bytes, fewer where the peer has gone.

        Raises
        ------
        OSError : the peer announces or sends more than is allowed, or takes too long; the association ends.
        """
        self._message += nr_bytes
        if nr_bytes > LONGEST_PDU or self._message > self.bounds.message + _BESIDE:
            raise OSError("more bytes than are allowed")
        peer = self.socket
        if peer is None:
            return bytearray()
        until = time.monotonic() + self.bounds.idle
        buffer = bytearray(nr_bytes)
        view, done = memoryview(buffer), 0
        while done < nr_bytes:
            count = peer.recv_into(view[done:])
            if not count:
                break
            done += count
            if done < nr_bytes and time.monotonic() > until:
                raise TimeoutError("a message was not finished in time")
        view.release()
        del buffer[done:]
        self._pace(done)
        return buffer

    def _pace(self, count: int) -> None:
        """Wait where bytes came faster than they may; the peer is slowed by its own TCP."""
        if self.bounds.rate is None:
            return
        now = time.monotonic()
        self._taken = max(0, self._taken - int((now - self._start) * self.bounds.rate)) + count
        self._start = now
        if (ahead := self._taken / self.bounds.rate - 1.0) > 0:  # a second's worth may come at once
            time.sleep(min(ahead, self.bounds.idle / 2))


class Messages(queue.Queue[Any]):
    """The messages of one association that wait for pynetdicom's reactor, which looks for them every millisecond.

    An instance does not wait: the sender does nothing until it is answered, so the thread that has read it carries it out, and
    sends the answer without another look. What comes before the association is established, or is no instance, goes the usual way.
    """

    def __init__(self, association: Any) -> None:
        super().__init__()
        self._association = association

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Carry an instance out, or queue a message."""
        context_id, message = item
        association = self._association
        context = association._accepted_cx.get(context_id)
        if not isinstance(message, C_STORE) or not message.is_valid_request or context is None or not self._may_serve():
            super().put(item, block, timeout)
            return
        try:
            StorageServiceClass(association).SCP(message, context)
        except Exception:  # an answer that cannot be sent; waiting for the end of this very thread would never end
            association.abort(block=False)

    def _may_serve(self) -> bool:
        """Whether the peer has been told that it may send, and nothing is before this message."""
        return bool(self._association.is_established) and self.empty()


class Handler(RequestHandler):
    """One connection, in a thread of its own."""

    server: NodeServer

    def setup(self) -> None:
        """Do the handshake of TLS here, where only its own peer waits for it."""
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()

    def _create_association(self) -> Any:
        association = super()._create_association()
        association.daemon = association.dul.daemon = (
            True  # a peer that says nothing does not hold up the end of the process
        )
        association.dul.socket = BoundedSocket(association, self.request, self.server.bounds)
        association.dimse.msg_queue = Messages(association)
        association.dul.event_queue.get_nowait()  # that the connection is there was said twice
        return association


class NodeServer(ThreadedAssociationServer):
    """Listens for peers.

    Attributes
    ----------
    bounds : of every association.
    may_connect : whether an address may talk to it at all.
    failed : told of a connection that could not be begun.
    """

    bounds: Bounds
    may_connect: Callable[[str], bool]
    failed: Callable[[str, str], None]
    daemon_threads = True
    block_on_close = False

    def get_request(self) -> tuple[socket.socket, Any]:
        """A new connection, on which nothing was waited for yet."""
        assert self.socket is not None
        connection, address = self.socket.accept()
        connection.settimeout(self.bounds.idle)
        if self.ssl_context is not None:
            connection = self.ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether a connection is looked at; others are closed without a word."""
        return self.may_connect(client_address[0])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of a connection that could not be begun, without a traceback on the screen."""
        import sys

        kind = sys.exc_info()[0]
        self.failed(client_address[0], kind.__name__ if kind else "")
