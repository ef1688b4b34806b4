"""Where a PACS is and what opens it: an address without secrets, and a file that holds them.

A secret in an address would stand in the list of processes, in logs and in messages, so it is refused there.
"""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import urlsplit

from voxloom.errors import BadInput


def pacs_address(text: str) -> str:
    """The address of a DICOMweb service without a slash at its end.

    Raises
    ------
    BadInput : it is not an http(s) address, or holds a password, a query or a fragment.
    """
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise BadInput("is not the address of a DICOMweb service", text, "Give it like http://pacs:8042/dicom-web")
    if parts.username or parts.password:
        shown = text.replace(parts.netloc.rpartition("@")[0], "...")
        raise BadInput("holds a name or password", shown, "Put user:password into a file: --pacs-auth FILE")
    if parts.query or parts.fragment:
        raise BadInput("has a query", text, "Give the address of the service alone")
    return text.rstrip("/")


def headers_of(file: Path | None) -> dict[str, str]:
    """HTTP headers from a file with one line: ``user:password``, ``Bearer TOKEN``, or nothing at all for no file.

    Raises
    ------
    BadInput : it cannot be read, or holds something else.
    """
    if file is None:
        return {}
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("cannot be read", file, "Check --pacs-auth") from error
    if len(lines) == 1 and lines[0].startswith("Bearer "):
        return {"Authorization": lines[0]}
    if len(lines) == 1 and ":" in lines[0]:
        return {"Authorization": "Basic " + base64.b64encode(lines[0].encode()).decode()}
    raise BadInput("is neither user:password nor Bearer TOKEN in one line", file, "Write one of them into it")
