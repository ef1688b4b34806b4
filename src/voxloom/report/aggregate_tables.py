"""Aggregated tables as text, CSV, LaTeX and JSON.

Knows how a mean and an SD are rounded and laid out; computes nothing.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from voxloom.errors import BadInput
from voxloom.evaluation.aggregate import Cell, Table
from voxloom.files import write_text

#: Decimals of mean and SD; None shows the SD with two digits that count, and the mean as far as the SD.
Digits = tuple[int, int] | None


def rounded(value: float, decimals: int) -> str:
    """A number with so many decimals, halves away from zero as in print (73.5 -> 74)."""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else str(value)
    return str(Decimal(repr(value)).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP))


def cell_text(cell: Cell, digits: Digits = None, plus_minus: str = "±") -> str:
    """``81 ± 3.8``; the mean alone where one value has no SD, ``-`` where there is none."""
    if digits is None:
        size = float(f"{cell.sd:.1e}") if cell.sd else 0.0
        decimals = min(6, max(0, 1 - math.floor(math.log10(size)))) if size > 0 else 3
        digits = (decimals, decimals)
    mean = rounded(cell.mean, digits[0])
    return mean if cell.sd is None else f"{mean} {plus_minus} {rounded(cell.sd, digits[1])}"


def as_text(tables: Sequence[Table], digits: Digits = None) -> str:
    """Aligned columns, one block per factor, the number of rows in the last column."""
    return "\n".join(_block(_rows(table, lambda cell: cell_text(cell, digits))) for table in tables)


def _rows(table: Table, show: Callable[[Cell], str]) -> list[list[str]]:
    rows = [[table.factor, *table.columns, "runs"]]
    for level, cells in table.levels.items():
        missing = max(cell.missing for cell in cells.values())
        n = max(cell.n for cell in cells.values())
        rows.append(
            [level, *(show(cells[c]) for c in table.columns), f"{n}" + (f" ({missing} missing)" * bool(missing))]
        )
    return rows


def _block(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:], ""])


def as_csv(tables: Sequence[Table]) -> str:
    """One line per factor, level and column, with full precision: factor, level, score, n, missing, mean, sd."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["factor", "level", "score", "n", "missing", "mean", "sd"])
    for table in tables:
        for level, cells in table.levels.items():
            for name, cell in cells.items():
                sd = "" if cell.sd is None else cell.sd
                writer.writerow([table.factor, level, name, cell.n, cell.missing, cell.mean, sd])
    return out.getvalue()


def as_latex(tables: Sequence[Table], digits: Digits = None) -> str:
    """A ``tabular`` per factor (package booktabs)."""
    return "\n".join(_tabular(table, digits) for table in tables)


def _tabular(table: Table, digits: Digits) -> str:
    def math_cell(cell: Cell) -> str:
        text = cell_text(cell, digits, r"\pm")
        return f"${text}$" if text != "-" else "--"

    lines = [rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}", r"\toprule"]
    header = [_escaped(name) for name in ("" if table.factor == "all" else table.factor, *table.columns)]
    lines += [" & ".join(header) + r" \\", r"\midrule"]
    for level, cells in table.levels.items():
        lines.append(" & ".join([_escaped(level), *(math_cell(cells[c]) for c in table.columns)]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _escaped(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


def as_json(tables: Sequence[Table]) -> str:
    """Full precision; what is not a finite number becomes null or text, since JSON has neither NaN nor infinity."""
    return json.dumps([_plain(table.to_dict()) for table in tables], indent=2, ensure_ascii=False) + "\n"


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def write_tables(tables: Sequence[Table], path: Path, digits: Digits = None) -> Path:
    """Write ``.txt``, ``.csv``, ``.tex`` or ``.json``, by the ending.

    Raises
    ------
    BadInput : another ending.
    """
    writers: dict[str, Callable[[], str]] = {
        ".txt": lambda: as_text(tables, digits),
        ".csv": lambda: as_csv(tables),
        ".tex": lambda: as_latex(tables, digits),
        ".json": lambda: as_json(tables),
    }
    if path.suffix.lower() not in writers:
        raise BadInput(
            f"tables are not written as {path.suffix or 'files without ending'}", path, "Use .txt .csv .tex .json"
        )
    write_text(path, writers[path.suffix.lower()]())
    return path
