"""Pseudonyms, replaced UIDs and shifted dates, all from one secret key.

Knows a keyed hash (HMAC-SHA256): with the key the same patient gets the same pseudonym again, without it nobody can tell
who it was, nor try names out. Does not know headers.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voxloom.errors import BadInput

_SHORTEST_KEY = 16
#: Dates move back by one secret number of days per patient, at least and at most so many.
_FEWEST_DAYS, _MOST_DAYS = 30, 3652


@dataclass(frozen=True, repr=False)
class Identity:
    """Gives new names to people, studies and objects.

    Parameters
    ----------
    key : secret bytes.
    dates : "shift" or "remove".
    """

    key: bytes
    dates: Literal["shift", "remove"] = "shift"

    def patient(self, person: str) -> str:
        """Pseudonym of a patient, such as ``P-K3XQ7ZB2MA``."""
        return f"P-{self._letters('patient', person, 10)}"

    def case(self, person: str, key: str) -> str:
        """Name of a case: the patient's pseudonym and four letters of its study or series."""
        return f"{self.patient(person)}-{self._letters('case', f'{person}/{key}', 6)}"

    def uid(self, uid: str) -> str:
        """Another UID (2.25., from 128 bits) that is the same for the same one."""
        return f"2.25.{int.from_bytes(self._digest('uid', uid)[:16], 'big')}"

    def days(self, person: str) -> int:
        """How many days the dates of a patient move back."""
        number = int.from_bytes(self._digest("days", person)[:8], "big")
        return _FEWEST_DAYS + number % (_MOST_DAYS - _FEWEST_DAYS + 1)

    def date(self, value: str | None, person: str) -> str | None:
        """A DICOM date (YYYYMMDD) moved back; None when dates are removed or it is not a date."""
        if self.dates == "remove" or not value:
            return None
        try:
            day = datetime.datetime.strptime(value.strip()[:8], "%Y%m%d").date()
            return (day - datetime.timedelta(days=self.days(person))).strftime("%Y%m%d")
        except (ValueError, OverflowError):
            return None

    def _digest(self, kind: str, value: str) -> bytes:
        return hmac.new(self.key, f"{kind}\0{value}".encode(), hashlib.sha256).digest()

    def _letters(self, kind: str, value: str, count: int) -> str:
        return base64.b32encode(self._digest(kind, value)).decode()[:count]


def load_key(path: str | Path | None) -> bytes:
    """The key in a file, which is made (mode 600) when it is missing; without a path a key that is forgotten.

    Raises BadInput for a key of less than 16 bytes, and for one that other users may read.
    """
    if path is None:
        return secrets.token_bytes(32)
    file = Path(path)
    if not file.exists():
        write_private(file, secrets.token_hex(32) + "\n")
    if os.name == "posix" and file.stat().st_mode & 0o077:
        raise BadInput("other users may read this key", file, f"chmod 600 {file}")
    key = file.read_bytes().strip()
    if len(key) < _SHORTEST_KEY:
        raise BadInput(f"holds {len(key)} bytes, a key needs {_SHORTEST_KEY}", file, "Name a new file to have one made")
    return key


def write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner may read (mode 600). Raises BadInput when it exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BadInput("exists already", path, "Name a new file; nothing is overwritten") from None
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as f:
        f.write(text)
