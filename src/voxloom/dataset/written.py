"""Cells of tables as numbers that remember how they were written, so that the id 1.10 does not become 1.1.

Knows which texts are numbers. A number whose usual text is the written one is a plain ``int`` or ``float``; the others print,
and turn into text, as they were written, and reckon as any number.
"""

from __future__ import annotations

import math
from typing import Self

#: Texts of an empty cell, wherever they stand.
EMPTY = ("", "n/a")
#: Texts that are empty among numbers, and may be a name among words (North America, a surname).
PERHAPS_EMPTY = ("na", "nan")


class _Written:
    """A number that remembers its text; comes before the kind of number among the bases."""

    text: str

    def __new__(cls, text: str) -> Self:
        made = super().__new__(cls, text)  # type: ignore[call-arg]  # the number's own
        made.text = text
        return made

    def __str__(self) -> str:
        return self.text

    def __getnewargs__(self) -> tuple[str]:
        return (self.text,)


class WrittenFloat(_Written, float):  # type: ignore[misc]  # copies are made of the text
    """A float that prints as it was written: ``WrittenFloat("1.10")`` equals 1.1, its text is "1.10"."""


class WrittenInt(_Written, int):  # type: ignore[misc]  # copies are made of the text
    """An int that prints as it was written, as "+5"."""


def as_number(cell: str) -> int | float | None:
    """The number that a cell holds; None for words, for leading zeros (007 is a name) and for what is not finite."""
    digits = cell.lstrip("+-")
    if (len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()) or "_" in cell:
        return None
    try:
        if digits.isdecimal():
            return int(cell) if str(int(cell)) == cell else WrittenInt(cell)
        number = float(cell)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return number if repr(number) == cell else WrittenFloat(cell)


def is_empty(cell: object) -> bool:
    """Whether a cell says nothing: empty, n/a, NA or nan. Not for columns of names."""
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in (*EMPTY, *PERHAPS_EMPTY))
