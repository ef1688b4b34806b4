"""Times as people write them: ``90s``, ``10m``, ``1h30m``. Knows no budget."""

from __future__ import annotations

import re

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PART = r"(\d+(?:\.\d+)?)\s*([smhd])"
_WHOLE = re.compile(rf"\s*(?:{_PART}\s*)+")


def seconds_of(text: str) -> float:
    """Seconds of a time such as ``90s``, ``10m``, ``3m20s``, ``1h 30m`` or ``2d``.

    Raises
    ------
    ValueError : it is none, or is 0, or a unit comes twice or after a smaller one; the message says how to write it.
    """
    parts = re.findall(_PART, text)
    units = [_SECONDS[unit] for _, unit in parts]
    if not _WHOLE.fullmatch(text) or units != sorted(set(units), reverse=True):
        raise ValueError("must be a time such as 90s, 10m, 1h30m or 2d")
    total = sum(float(number) * unit for (number, _), unit in zip(parts, units, strict=True))
    if total <= 0:
        raise ValueError("must be a time above 0, such as 90s, 10m, 1h30m or 2d")
    return total
