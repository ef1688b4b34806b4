"""The web server: where it listens, and what is refused there before it does."""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from voxloom.errors import BadInput

#: Seconds that answers at work have to end when the service is stopped.
GRACE = 10


@dataclass(frozen=True)
class Listening:
    """Where a service listens.

    Parameters
    ----------
    host, port : of the address; port 0 takes a free one.
    cert, key : files of a TLS certificate and its key; both or neither.
    insecure : listen without TLS beyond this machine all the same: tokens and patients' data can then be read on the way.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    cert: Path | None = None
    key: Path | None = None
    insecure: bool = False

    @property
    def tls(self) -> bool:
        """Whether browsers come by HTTPS."""
        return self.cert is not None


def check_listening(where: Listening, has_tokens: bool) -> None:
    """Refuse what would let others in.

    Raises
    ------
    BadInput : beyond loopback without tokens, or without TLS unless ``insecure``; half a certificate, or one that cannot be loaded.
    """
    if (where.cert is None) != (where.key is None):
        raise BadInput("a certificate needs its key", "--tls-cert, --tls-key", "Give both")
    if where.cert is not None and where.key is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(where.cert, where.key)
        except (OSError, ssl.SSLError) as error:
            raise BadInput("the certificate cannot be loaded with that key", where.cert, "Check both files") from error
    if is_loopback(where.host):
        return
    if not has_tokens:
        fix = "Give --token-file FILE, or leave --host out"
        raise BadInput("beyond this machine nobody may ask without a token", "--host", fix)
    if not where.tls and not where.insecure:
        fix = "Give --tls-cert and --tls-key, or --insecure where the network itself is safe"
        raise BadInput("without TLS tokens and images can be read on the way", "--host", fix)


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def open_socket(where: Listening) -> socket.socket:
    """A socket that listens (BadInput where the address is taken or not of this machine)."""
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((where.host, where.port))
        found.listen(128)
    except OSError as error:
        found.close()
        what = f"port {where.port} cannot be opened ({error.strerror})"
        raise BadInput(what, "--http", "Is another service running there? Choose another port") from error
    return found


def server_of(app: FastAPI, where: Listening) -> uvicorn.Server:
    """The server of an application; ``server.run(sockets=[open_socket(where)])`` serves until it is stopped."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ssl_certfile=where.cert,
        ssl_keyfile=where.key,
        timeout_graceful_shutdown=GRACE,
        h11_max_incomplete_event_size=64 << 10,
    )
    return uvicorn.Server(config)


def log_to_screen() -> None:
    """A line per request on standard error: time, method, route, status, milliseconds, who; no address, no id, no patient."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
    log = logging.getLogger("voxloom.serve")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    log.propagate = False
