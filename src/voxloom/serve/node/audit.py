"""The audit log: who sent what, what was done with it, and what was refused. One JSON object per line, in UTC.

Knows rotation. Series are named by the hash of their UID (``instance.key_of``), patients not at all.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class AuditLog:
    """Lines in a file that is renamed when it is long; the oldest of ``files`` goes.

    Parameters
    ----------
    size : bytes of one file.
    """

    def __init__(self, path: Path, size: int, files: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._handler = logging.handlers.RotatingFileHandler(
            path, maxBytes=size, backupCount=files - 1, encoding="utf-8", delay=True
        )

    def tell(self, event: str, **facts: str | int | float | None) -> None:
        """Write one line: the time, the event, and the facts that are known."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        known: dict[str, Any] = {name: value for name, value in facts.items() if value is not None}
        line = json.dumps({"time": now, "event": event, **known}, ensure_ascii=False)
        self._handler.handle(logging.LogRecord("voxloom.node", logging.INFO, "", 0, line, None, None))

    def close(self) -> None:
        """Close the file."""
        self._handler.close()


class LibraryLog(logging.Handler):
    """What a library logs, as audit lines that say where and how bad, but not what: its texts may quote headers."""

    def __init__(self, audit: AuditLog) -> None:
        super().__init__(logging.WARNING)
        self._audit = audit

    def emit(self, record: logging.LogRecord) -> None:
        """Note one record."""
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        place = f"{record.module}:{record.lineno}"
        self._audit.tell("library", level=record.levelname.lower(), place=place, exception=kind)
