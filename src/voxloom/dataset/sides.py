"""Labels whose names tell left from right: a mirror image along that direction shows them exchanged.

Knows names and axis codes; reads no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_OTHER = {"left": "right", "l": "r", "lt": "rt", "lh": "rh", "sin": "dex", "sinister": "dexter", "links": "rechts"}
_OTHER |= {right: left for left, right in _OTHER.items()}
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def side_pairs(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Names that differ in their side only, e.g. ("kidney_left", "kidney_right"), ("Left Lung", "Right Lung"), ("L_hip", "R_hip")."""
    by_words = {_words(name): name for name in names}
    pairs = []
    for words, name in by_words.items():
        other = by_words.get(tuple(_OTHER.get(word, word) for word in words))
        if other is not None and other != name and (other, name) not in pairs:
            pairs.append((name, other))
    return tuple(pairs)


def names_a_side(names: Iterable[str]) -> bool:
    """Whether any name says left or right, e.g. "left knee"; a mirror image then shows something else."""
    return any(word in _OTHER for name in names for word in _words(name))


def left_right_axes(orientation: str | None) -> tuple[int, ...]:
    """The axes that may run from left to right: one of axis codes such as "RAS"; any where every case keeps its own."""
    if orientation is None or orientation == "slices":
        return (0, 1, 2)
    return tuple(axis for axis, code in enumerate(orientation) if code in "LR")


def _words(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORDS.findall(name))
