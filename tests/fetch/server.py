"""A local web server with the faults that real ones have."""

from __future__ import annotations

from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from voxloom.dataset.fetch.download import Download

QUICK = Download(timeout=5, tries=3, pause=0.0)


@dataclass
class Site:
    """What the server offers and how it behaves; ``asked`` records (path, Range header)."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    cut_after: list[int] = field(default_factory=list)
    ranges: bool = True
    etag: str | None = '"v1"'
    fail_with: list[int] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    site: Site

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        """Answer one request as the site's faults ask."""
        site, wanted = self.site, self.headers.get("Range")
        site.asked.append((self.path, wanted))
        if site.fail_with:
            self.send_error(site.fail_with.pop(0))
        elif self.path in site.redirects:
            self.send_response(302)
            self.send_header("Location", site.redirects[self.path])
            self.end_headers()
        elif self.path not in site.files:
            self.send_error(404)
        else:
            self._send(site.files[self.path], wanted)

    def _send(self, content: bytes, wanted: str | None) -> None:
        site, first = self.site, 0
        same = self.headers.get("If-Range") in (None, site.etag)
        if wanted and site.ranges and same:
            first = int(wanted.removeprefix("bytes=").rstrip("-"))
            if first >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if site.etag:
            self.send_header("ETag", site.etag)
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        end = first + site.cut_after.pop(0) if site.cut_after else len(content)
        self.wfile.write(content[first:end])
