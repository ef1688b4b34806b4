"""Sessions: images that a client sends once and asks about several times, kept for a while and never added to the data.

Knows files and times, no HTTP. What is sent is checked as every upload is, and lies under names of our own.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.serve.store.uploads import USUAL, Limits, Sent, unpack

#: Seconds that a session lasts after its last use, unless the client asks for less.
LONGEST = 3600


@dataclass(frozen=True)
class Session:
    """A scan of one client.

    Parameters
    ----------
    files : one per channel; a DICOM series is a folder.
    created, used : seconds since the epoch.
    expiry : seconds after the last use.
    """

    id: str
    files: tuple[Path, ...]
    created: float
    used: float
    expiry: int

    @property
    def has_expired(self) -> bool:
        """Whether it was not used for longer than it lasts."""
        return time.time() > self.used + self.expiry

    def told(self) -> dict[str, Any]:
        """What a client learns of it: no path of this machine."""
        return {
            "name": self.id,
            "path": "",
            "image": self.files[0].name,
            "meta": {},
            "create_ts": int(self.created),
            "last_access_ts": int(self.used),
            "expiry": self.expiry,
        }


class Sessions:
    """All sessions of a service, in a folder of their own that ``close`` removes. Safe for several threads.

    Parameters
    ----------
    longest : seconds after its last use that a session lasts at most.
    limits : of what is sent.
    """

    def __init__(self, longest: int = LONGEST, limits: Limits = USUAL) -> None:
        self.longest, self.limits = longest, limits
        self._folder = Path(tempfile.mkdtemp(prefix="voxloom-sessions-"))
        self._all: dict[str, Session] = {}
        self._lock = threading.Lock()

    def add(self, sent: Sequence[Sent], expiry: int = 0) -> Session:
        """A new session of one scan: a file per channel, DICOM files of a series, or an archive of them.

        Parameters
        ----------
        sent : are moved.
        expiry : seconds; 0 takes the longest.

        Raises
        ------
        BadInput : it is not one scan of a format that is read; nothing of it is kept.
        """
        self.sweep()
        name = secrets.token_hex(16)
        folder = self._folder / name
        folder.mkdir(mode=0o700)
        try:
            files = _scan_of(sent, folder, self.limits)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        now = time.time()
        made = Session(name, files, now, now, min(expiry, self.longest) if expiry > 0 else self.longest)
        with self._lock:
            self._all[name] = made
        return made

    def get(self, name: str, touch: bool = True) -> Session | None:
        """A session, whose time starts anew with ``touch``; None where there is none, or no longer."""
        self.sweep()
        with self._lock:
            found = self._all.get(name)
            if found is not None and touch:
                found = self._all[name] = replace(found, used=time.time())
            return found

    def remove(self, name: str) -> Session | None:
        """End a session and remove its files; what it was."""
        with self._lock:
            found = self._all.pop(name, None)
        if found is not None:
            shutil.rmtree(self._folder / name, ignore_errors=True)
        return found

    def sweep(self) -> None:
        """Remove the sessions whose time is up."""
        with self._lock:
            old = [name for name, session in self._all.items() if session.has_expired]
        for name in old:
            self.remove(name)

    def close(self) -> None:
        """Remove all sessions and their folder."""
        with self._lock:
            self._all.clear()
        shutil.rmtree(self._folder, ignore_errors=True)


def _scan_of(sent: Sequence[Sent], folder: Path, limits: Limits) -> tuple[Path, ...]:
    """The one scan that was sent."""
    scans = unpack(sent, folder, limits).scans
    if len(scans) > 1:
        raise BadInput(f"{len(scans)} series were sent", "files", "Send one at a time")
    return tuple(scans[0])
