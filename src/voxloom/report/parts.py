"""The sections that every page is made of: a title, a table, a text, pictures. Knows nothing of what they say."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxloom.report.style import data_uri, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


#: What a cell of numbers looks like: numbers, intervals, nothing known.
_NUMBER = re.compile(r"^([+\-−–]?[\d.,]+ ?%?|infinite|nan|–|none|to|p|[<>=\[\],;()\s])*$")


@dataclass(frozen=True)
class Part:
    """One section of a page.

    Parameters
    ----------
    table : "head", a list of column titles, and "rows", lists of cells.
    pictures : "caption" and "data" (a data URI) each.
    longest : rows that are shown at once; the others unfold on a click.
    columns : pictures beside each other, all of one width; 0 lays them out by their own widths.
    """

    title: str
    text: str = ""
    table: dict[str, Any] | None = None
    pictures: list[dict[str, str]] = field(default_factory=list)
    longest: int = 60
    columns: int = 0

    @property
    def numeric(self) -> list[bool]:
        """Which columns of the table hold numbers, and so are set to the right."""
        if self.table is None:
            return []
        columns = [[str(row[n]) for row in self.table["rows"]] for n in range(len(self.table["head"]))]
        return [bool(cells) and all(map(_NUMBER.match, cells)) for cells in columns]


def table_of(head: Sequence[str], rows: Sequence[Sequence[object]]) -> dict[str, Any]:
    """The table of a part."""
    return {"head": list(head), "rows": [list(row) for row in rows]}


def picture(figure: Figure, caption: str, path: Path | None = None) -> dict[str, str]:
    """A figure for a page; also kept as SVG and PNG under ``path`` (without ending) where given."""
    if path is not None:
        save_figure(figure, path)
    return {"caption": caption, "data": data_uri(figure, "svg")}


def number(value: float, digits: int = 3) -> str:
    """A number for people; infinity as such, a dash where nothing is known."""
    if math.isnan(value):
        return "–"
    return "infinite" if math.isinf(value) else f"{value:.{digits}f}"
