"""Opening addresses: http and https only, few redirections, never from https back to http.

Knows what a redirection may do. Does not know files.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from http.client import HTTPMessage, HTTPResponse
from typing import IO
from urllib.parse import urljoin, urlsplit

from voxloom.errors import BadInput, VoxloomError

MOST_REDIRECTIONS = 5


class DownloadFailed(VoxloomError):
    """A file could not be downloaded whole and right."""


def check_address(url: str) -> None:
    """Refuse anything but http and https (BadInput)."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"{url!r} is not an http or https address", None, "Give the address of the file, https://...")


def check_redirection(source: str, target: str) -> None:
    """Refuse a redirection to another kind of address, or from https down to http (DownloadFailed)."""
    scheme = urlsplit(target).scheme
    if scheme not in ("http", "https"):
        raise DownloadFailed(f"{source} redirects to {target}, which is not an http or https address")
    if urlsplit(source).scheme == "https" and scheme == "http":
        raise DownloadFailed(f"{source} redirects from https to unprotected http ({target}); refused")


class _Redirections(urllib.request.HTTPRedirectHandler):
    max_redirections = MOST_REDIRECTIONS
    max_repeats = 2

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        check_redirection(req.full_url, newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _make_opener() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirections(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def open_address(url: str, headers: dict[str, str], timeout: float) -> HTTPResponse:
    """Open an address and follow its redirections.

    Raises BadInput for an address that is not http(s), DownloadFailed for a refused redirection or more than
    ``MOST_REDIRECTIONS``, urllib's HTTPError for other answers than success, OSError when the connection fails.
    """
    check_address(url)
    try:
        response: HTTPResponse = _make_opener().open(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as e:
        if 300 <= e.code < 400:
            check_redirection(e.url or url, urljoin(e.url or url, e.headers.get("Location", "")))
            raise DownloadFailed(f"{url} redirects more than {MOST_REDIRECTIONS} times or in a circle") from e
        raise
    return response
