"""File names: what is clutter of an operating system, where the ending begins, and which four digits number a channel.

Knows names only; opens nothing. Names are compared in Unicode's composed form (NFC), as macOS writes the decomposed one.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable

from voxloom.formats import IMAGE_ENDINGS

#: Stands for the number of a file that has none.
NO_NUMBER = -1
_NUMBERED = re.compile(r"^(?P<case>.+)_(?P<number>\d{4})$", re.ASCII)
_CLUTTER = {"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin"}
#: No scanner gives so many channels: a higher number is a year or counts cases.
_MOST_CHANNELS = 100


def is_clutter(name: str) -> bool:
    """Whether a file or folder is hidden, or one that macOS, Windows or a NAS leaves (``._x``, ``Thumbs.db``, ``__MACOSX``)."""
    return name.startswith(".") or name.lower() in _CLUTTER


def composed(name: str) -> str:
    """The name in Unicode's composed form: one way to write an accented letter."""
    return unicodedata.normalize("NFC", name)


def split_ending(name: str) -> tuple[str, str]:
    """File name as (stem, image ending); the ending is empty for other files."""
    lower = name.lower()
    for ending in IMAGE_ENDINGS:
        if lower.endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)], name[-len(ending) :]
    return name, ""


def number_channels(
    stems: Iterable[str], channels: int | None, cases: Collection[str] = ()
) -> dict[str, tuple[str, int]]:
    """Case and channel number (``NO_NUMBER``: none) of each name; ``CASE_0001`` may be channel 1 of CASE, or a case.

    Parameters
    ----------
    stems : names without ending, of all files that lie together.
    channels : how many a case has; None where nobody declared it.
    cases : ids of cases that are known, e.g. from label files; what they show of the naming holds for the other names too.

    With one channel the digits are part of the name, but for ``_0000`` where every name ends so. Names that look like channels
    of several cases although there is one channel are given as numbered, so that the caller can refuse them.
    """
    found: dict[str, tuple[str, int]] = {}
    groups: dict[str, dict[str, int]] = defaultdict(dict)
    plain = numbered = False
    for stem in stems:
        match = _NUMBERED.match(stem)
        if stem in cases or match is None:
            found[stem], plain = (stem, NO_NUMBER), plain or stem in cases
        elif match["case"] in cases:
            found[stem], numbered = (match["case"], int(match["number"])), True
        else:
            groups[match["case"]][stem] = int(match["number"])
    if channels is None and numbered:
        channels = 1 + max(number for _, number in found.values())
    sets = [set(members.values()) for members in groups.values()]
    for case, members in groups.items():
        taken = (plain and not numbered) or (case in found and channels in (None, 1))
        follows = not taken and _are_channels(set(members.values()), sets, channels, numbered)
        found |= {stem: (case, number) if follows else (stem, NO_NUMBER) for stem, number in members.items()}
    return found


def _are_channels(numbers: set[int], sets: list[set[int]], channels: int | None, declared: bool) -> bool:
    """Whether the numbers behind one name count channels, given those behind all names that lie together."""
    if max(numbers) >= _MOST_CHANNELS:
        return False
    if channels is not None and channels > 1:
        return True
    alike = len(sets) > 1 and all(len(other) > 1 and other == numbers for other in sets)
    if channels is None:
        return declared or 0 in numbers or alike
    if declared:
        return 0 in numbers
    return all(0 in other for other in sets) and (numbers == {0} or len(sets) > 1)
