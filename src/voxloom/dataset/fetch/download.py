"""Downloading one file: resumed where it stopped, checked, and whole or not there at all.

Knows HTTP ranges (RFC 9110: Range, If-Range, Content-Range). The unfinished file lies beside the target as ``.part``
with ``.part.json``, which says what it is a part of. Does not know data sets.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import time
import urllib.error
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxloom.dataset.fetch.redirects import DownloadFailed, open_address
from voxloom.errors import VoxloomError
from voxloom.files import write_json
from voxloom.progress import Progress

_BLOCK = 1 << 18
_SPARE = 64 << 20


@dataclass(frozen=True)
class Download:
    """Seconds to wait for the server, tries that bring nothing, seconds between tries, most bytes to accept."""

    timeout: float = 30.0
    tries: int = 5
    pause: float = 2.0
    largest: int = 64 << 30


@dataclass(frozen=True)
class Received:
    """A finished file: size in bytes, hex checksums, and the address it came from."""

    bytes: int
    sha256: str
    md5: str
    url: str


def download(
    urls: tuple[str, ...],
    target: Path,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    settings: Download | None = None,
    progress: Progress | None = None,
) -> Received:
    """Download the first address that answers into ``target``, going on with an unfinished part where the server can.

    Parameters
    ----------
    urls : addresses of the same file.
    md5, sha256 : expected checksums in hex; a file with another one is removed.
    progress : called with (bytes received, bytes in all; 0 where the server does not tell).

    Raises
    ------
    DownloadFailed : no address answered, the connection broke again and again, or the checksum is wrong.
    BadInput : an address is not http or https.
    """
    chosen, failures = settings or Download(), []
    target.parent.mkdir(parents=True, exist_ok=True)
    for url in urls:
        try:
            _receive(url, target, chosen, progress)
        except DownloadFailed as e:
            failures.append(str(e))
            continue
        return _finish(url, target, md5, sha256)
    raise DownloadFailed("; ".join(failures))


def part_of(target: Path) -> Path:
    """Where the unfinished file lies."""
    return target.with_name(target.name + ".part")


def _about(target: Path) -> Path:
    return target.with_name(target.name + ".part.json")


def _receive(url: str, target: Path, settings: Download, progress: Progress | None) -> None:
    """Fill the part until it is whole; give up after ``tries`` attempts that brought nothing."""
    part, idle, reason = part_of(target), 0, ""
    while idle < settings.tries:
        before = _size(part)
        try:
            if _receive_once(url, target, settings, progress):
                return
            reason = "the connection was cut"
        except urllib.error.HTTPError as e:
            reason = f"the server answered {e.code} {e.reason}"
            if e.code < 500 and e.code not in (408, 429):
                raise DownloadFailed(f"{url}: {reason}") from e
        except (OSError, http.client.HTTPException) as e:
            reason = str(getattr(e, "reason", e)) or type(e).__name__
        idle = 0 if _size(part) > before else idle + 1
        if idle < settings.tries:
            time.sleep(settings.pause * (idle + 1))
    kept = f"; {_size(part)} bytes are kept, run the command again to go on" if _size(part) else ""
    raise DownloadFailed(f"{url}: {reason}{kept}")


def _receive_once(url: str, target: Path, settings: Download, progress: Progress | None) -> bool:
    """One connection. True when the part is whole afterwards."""
    part = part_of(target)
    headers = {"User-Agent": "voxloom", "Accept-Encoding": "identity", **_resume_headers(url, target)}
    try:
        response = open_address(url, headers, settings.timeout)
    except urllib.error.HTTPError as e:
        if e.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        return _is_whole(e.headers.get("Content-Range"), target)
    with response:
        start, total = _start_and_total(response, _size(part))
        _check_size(total, start, target, settings)
        write_json(_about(target), {"url": url, "total": total, **_validators(response)})
        with part.open("r+b" if start else "wb") as out:
            out.seek(start)
            out.truncate()
            received = _copy(response, out, start, total, settings, progress)
    return received == total if total else True


def _copy(
    response: http.client.HTTPResponse, out: Any, start: int, total: int, settings: Download, progress: Progress | None
) -> int:
    received = start
    while block := response.read(_BLOCK):
        received += len(block)
        if received > settings.largest:
            raise VoxloomError(f"{response.url} sends more than {settings.largest} bytes; stopped")
        out.write(block)
        if progress is not None:
            progress(received, total)
    return received


def _resume_headers(url: str, target: Path) -> dict[str, str]:
    """Ask for the rest only where the server can tell that the file is still the same one."""
    size = _size(part_of(target))
    try:
        about = json.loads(_about(target).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    validator = about.get("etag") or about.get("last_modified")
    if not size or about.get("url") != url or not validator:
        return {}
    return {"Range": f"bytes={size}-", "If-Range": validator}


def _validators(response: http.client.HTTPResponse) -> dict[str, str | None]:
    etag = response.headers.get("ETag")
    strong = etag if etag and not etag.startswith("W/") else None
    return {"etag": strong, "last_modified": response.headers.get("Last-Modified")}


def _start_and_total(response: http.client.HTTPResponse, size: int) -> tuple[int, int]:
    """Where the answer's bytes belong, and the size of the whole file (0: not told)."""
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        first, total = _content_range(response.headers.get("Content-Range"))
        if first == size:
            return size, total
        raise DownloadFailed(f"{response.url} sent bytes from {first} where {size} were asked for")
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else 0


def _content_range(text: str | None) -> tuple[int, int]:
    """First byte and size of the whole from ``bytes 5-9/10``; -1 and 0 stand for what it does not tell."""
    spans, _, total = (text or "").removeprefix("bytes ").partition("/")
    first = spans.partition("-")[0]
    return int(first) if first.isdigit() else -1, int(total) if total.isdigit() else 0


def _is_whole(content_range: str | None, target: Path) -> bool:
    """After "range not satisfiable": the part is whole, or else it is dropped and the next try starts anew."""
    if _content_range(content_range)[1] == _size(part_of(target)) > 0:
        return True
    part_of(target).unlink(missing_ok=True)
    return False


def _check_size(total: int, start: int, target: Path, settings: Download) -> None:
    if total > settings.largest:
        raise VoxloomError(f"the file has {total} bytes, more than the {settings.largest} expected at most")
    free = shutil.disk_usage(target.parent).free
    if total - start + _SPARE > free:
        raise VoxloomError(
            f"{target.parent}: {(total - start) / 1e9:.2f} GB are needed, {free / 1e9:.2f} GB are free. Make room"
        )


def _finish(url: str, target: Path, md5: str | None, sha256: str | None) -> Received:
    part = part_of(target)
    received = checksums(part, url)
    for kind, expected, found in (("MD5", md5, received.md5), ("SHA-256", sha256, received.sha256)):
        if expected is not None and expected.lower() != found:
            part.unlink()
            _about(target).unlink(missing_ok=True)
            raise DownloadFailed(
                f"{url} is not the expected file: {kind} {found}, expected {expected}; the file was removed. "
                "Try again, or give another address with --url"
            )
    part.replace(target)
    _about(target).unlink(missing_ok=True)
    return received


def checksums(path: Path, url: str = "") -> Received:
    """Size, SHA-256 and MD5 of a file in one pass (MD5 only because publishers give it)."""
    sha, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with path.open("rb") as f:
        while block := f.read(1 << 20):
            sha.update(block)
            md5.update(block)
            size += len(block)
    return Received(size, sha.hexdigest(), md5.hexdigest(), url)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
