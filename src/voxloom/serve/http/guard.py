"""What stands before every end point: who asks, from where, how much, and what a browser may do with the answer.

The order: the Host header (a foreign name that points here is refused), the token or session, requests that another site forged,
the size.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voxloom.serve.http.errors import refusal
from voxloom.serve.http.people import ANYBODY, People, Person
from voxloom.serve.page import CSP

#: Name of the cookie of a session.
COOKIE = "voxloom"
#: A header that no form and no picture of another site can send.
OWN_HEADER = "x-voxloom"
_READING = ("GET", "HEAD", "OPTIONS")
log = logging.getLogger("voxloom.serve")


@dataclass(frozen=True)
class Paths:
    """Beginnings of addresses with rules of their own.

    Parameters
    ----------
    public : need no token.
    upload : take as many bytes as an upload may have.
    clients : used by programs that are not browsers: without an Origin no own header is asked for.
    own_policy : pages of others, which need another policy than ours.
    """

    public: tuple[str, ...] = ()
    upload: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    own_policy: tuple[str, ...] = ()

    def __add__(self, other: Paths) -> Paths:
        return Paths(
            self.public + other.public,
            self.upload + other.upload,
            self.clients + other.clients,
            self.own_policy + other.own_policy,
        )


@dataclass(frozen=True)
class Security:
    """How a service is guarded.

    Parameters
    ----------
    people : who may use it; None asks nobody, which is for loopback alone.
    names : host names, beside addresses in numbers and this machine's own, by which it may be called.
    tls : whether browsers come by HTTPS.
    upload : bytes of an upload at most.
    body : bytes of any other request at most.
    """

    people: People | None = None
    names: frozenset[str] = frozenset()
    tls: bool = False
    upload: int = 4 << 30
    body: int = 1 << 20
    paths: Paths = field(default_factory=Paths)

    @property
    def hosts(self) -> frozenset[str]:
        """All names by which it may be called."""
        own = {"localhost", socket.gethostname().lower(), socket.getfqdn().lower()}
        return frozenset({*own, *(name.lower() for name in self.names)})


class Guard:
    """The middleware.

    Parameters
    ----------
    pages : addresses of the files of the page, which tell nothing of anybody and need no token.
    debug : log the trace of an error that nobody foresaw; it may name files and patients.
    """

    def __init__(self, app: ASGIApp, security: Security, paths: Paths, pages: frozenset[str], debug: bool) -> None:
        self.app, self.security, self.paths, self.pages, self.debug = app, security, paths, pages, debug
        self.hosts = security.hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, seen = time.monotonic(), {"status": 0}
        path, method, headers = scope["path"], scope["method"], Headers(scope=scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
                self._add_headers(MutableHeaders(scope=message), path)
            await send(message)

        person = self._person(headers)
        refused = self._refused(path, method, headers, person)
        scope.setdefault("state", {})["person"] = person or Person("", "view")
        if refused is not None:
            await refused(scope, receive, answer)
        else:
            await self._pass_on(scope, receive, answer, self._limit(path), headers)
        milliseconds = 1000 * (time.monotonic() - started)
        # The route, not the address: ids of cases may name people.
        route = getattr(scope.get("route"), "path", path if path in self.pages else "-")
        log.info("%s %s %d %.0f ms %s", method, route, seen["status"], milliseconds, person.name if person else "-")

    def _refused(self, path: str, method: str, headers: Headers, person: Person | None) -> ASGIApp | None:
        """The refusal of a request; None where it may pass."""
        if not allowed_host(headers.get("host", ""), self.hosts):
            return refusal(
                421, "the service is not called by this name", "Host", "Allow it: voxloom serve --allow-host NAME"
            )
        public = path in self.pages or starts(path, self.paths.public)
        if person is None and not (public and method in (*_READING, "POST")):
            found = refusal(401, "a token is needed", "token", "Send Authorization: Bearer TOKEN, or log in")
            found.headers["WWW-Authenticate"] = "Bearer"
            return found
        if method not in _READING and self._is_forged(path, headers):
            fix = f"Send the header {OWN_HEADER.title()}: 1"
            return refusal(403, "a page of another site may have sent this", "Origin", fix)
        length = headers.get("content-length", "0")
        if not length.isdigit():
            return refusal(400, "the length of the request is not a number", "Content-Length")
        if int(length) > (most := self._limit(path)):
            return refusal(413, f"more than {most >> 20} MiB were sent", "body", "Raise it: voxloom serve --max-upload")
        return None

    def _is_forged(self, path: str, headers: Headers) -> bool:
        """Whether a page of another site may have made a browser send a request that changes something."""
        if headers.get("authorization", "").lower().startswith("bearer "):
            return False  # no browser adds it on its own
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None:
            return not same_origin(origin, headers.get("host", ""), self.security.tls)
        if site is not None:
            return site not in ("same-origin", "none")
        return OWN_HEADER not in headers and not starts(path, self.paths.clients)

    def _person(self, headers: Headers) -> Person | None:
        """Who asks; None where a token is needed and none is known."""
        people = self.security.people
        if people is None:
            return ANYBODY
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return people.by_token(token.strip())
        session = cookie_of(headers)
        return people.by_session(session) if session else None

    def _limit(self, path: str) -> int:
        return self.security.upload if starts(path, self.paths.upload) else self.security.body

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, most: int, headers: Headers) -> None:
        """Hand a request on, and end it when more bytes come than may."""
        seen, begun = 0, False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise TooMuch
            return message

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except TooMuch:
            found = refusal(413, f"more than {most >> 20} MiB were sent", "body", "Raise it: --max-upload")
            found.headers["Connection"] = "close"
        except Exception as error:
            log.error("%s: %s", getattr(scope.get("route"), "path", "-"), type(error).__name__, exc_info=self.debug)
            found = refusal(
                500, f"something went wrong inside ({type(error).__name__})", None, "Tell who runs the service"
            )
        else:
            return
        if not begun:
            await found(scope, receive, send)

    def _add_headers(self, headers: MutableHeaders, path: str) -> None:
        """What a browser is told of every answer."""
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Referrer-Policy", "no-referrer")
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if not starts(path, self.paths.own_policy):
            headers.setdefault("Content-Security-Policy", CSP)
            headers.setdefault("X-Frame-Options", "SAMEORIGIN")
        if path not in self.pages:
            headers.setdefault("Cache-Control", "no-store")


class TooMuch(Exception):
    """More bytes came than a request may have."""


def allowed_host(host: str, names: Iterable[str]) -> bool:
    """Whether a Host header names this service: an address in numbers, which no foreign name can stand for, or a known name."""
    name = host.rsplit("]", 1)[0].lstrip("[") if host.startswith("[") else host.rsplit(":", 1)[0]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.lower().rstrip(".") in names
    return True


def same_origin(origin: str, host: str, tls: bool) -> bool:
    """Whether an Origin header is this service's own address."""
    return origin.lower() == f"{'https' if tls else 'http'}://{host.lower()}"


def cookie_of(headers: Headers) -> str | None:
    """The session that a browser sends."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


def starts(path: str, beginnings: tuple[str, ...]) -> bool:
    """Whether an address begins with one of some beginnings."""
    return any(path == start.rstrip("/") or path.startswith(start) for start in beginnings)
