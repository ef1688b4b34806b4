"""A DICOMweb server with the faults that real ones have, for one test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

JSON = "application/dicom+json"


@dataclass
class Answer:
    """A status, a body and its type; ``cut`` closes the connection before the last half of the body, ``location`` sends elsewhere."""

    status: int = 200
    body: bytes = b"[]"
    kind: str = JSON
    cut: bool = False
    location: str = ""


@dataclass
class Web:
    """A server whose next answers are those of ``answers``, the last one again and again; ``asked`` records requests."""

    address: str = ""
    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


def _handler(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

        def answer(self) -> None:
            web.asked.append((self.command, self.path, dict(self.headers.items()), self.body()))
            answer = web.answers.pop(0) if len(web.answers) > 1 else web.answers[0]
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            if answer.location:
                self.send_header("Location", answer.location)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body[: len(answer.body) // 2] if answer.cut else answer.body)
            self.close_connection = answer.cut

        def body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            whole = b""
            while size := int(self.rfile.readline(), 16):
                whole += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return whole

        do_GET: Callable[[], None] = answer
        do_POST: Callable[[], None] = answer

    return Handler


@contextmanager
def serving(*answers: Answer) -> Iterator[Web]:
    """A running server on this machine."""
    web = Web(answers=list(answers))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(web))
    web.address = f"http://127.0.0.1:{server.server_port}/dicom-web"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
