"""Names that may stand in an address and name a file in the state folder: never a path, never hidden, never long."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
#: Names of devices under Windows, whatever their ending.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{kind}{n}" for kind in ("com", "lpt") for n in range(1, 10))}


def is_safe(name: str) -> bool:
    """Whether a name can be a file's and a part of an address as it stands."""
    return bool(_SAFE.fullmatch(name)) and ".." not in name and name.split(".")[0].lower() not in _DEVICES


def safe_id(name: str, taken: Collection[str] = ()) -> str:
    """A safe name that is like ``name``, and none of ``taken`` (which are compared without regard to case)."""
    known = {other.lower() for other in taken}
    made = name
    if not is_safe(made):
        plain = re.sub(r"[^A-Za-z0-9._-]+|\.{2,}", "_", name).strip("._-")[:60] or "case"
        if plain.split(".")[0].lower() in _DEVICES:
            plain = f"case_{plain}"
        made = f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    first, number = made, 1
    while made.lower() in known:
        number += 1
        made = f"{first}-{number}"
    return made
