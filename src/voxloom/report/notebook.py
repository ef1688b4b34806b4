"""How values look to people: small HTML tables in a notebook, aligned text elsewhere. Knows no run."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def html_table(rows: Sequence[Sequence[object]], title: str = "", notes: Sequence[str] = ()) -> str:
    """A table with a header row, a title above it and lines below; everything is escaped."""
    if not rows:
        return html_text(title, notes)
    head, *body = rows
    cells = "".join(f"<th>{escape(str(cell))}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in body)
    table = f"<table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>"
    return html_text(title, ()) + table + html_text("", notes)


def text_lines(rows: Sequence[Sequence[object]]) -> list[str]:
    """A table with a header row as lines of aligned columns."""
    if not rows:
        return []
    widths = [max(len(str(row[n])) for row in rows) for n in range(len(rows[0]))]
    head, *body = [
        "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return [head, "  ".join("-" * width for width in widths), *body]


def text_table(rows: Sequence[Sequence[object]], title: str = "", notes: Sequence[str] = ()) -> str:
    """The same as ``html_table`` as plain text."""
    return "\n".join([*([title] if title else []), *text_lines(rows), *notes])


def html_text(title: str, notes: Sequence[str]) -> str:
    """A title in bold and lines below it."""
    bold = f"<p><b>{escape(title)}</b></p>" if title else ""
    return bold + "".join(f"<p>{escape(note)}</p>" for note in notes)


def html_plain(text: str) -> str:
    """Text with its line breaks and columns."""
    return f"<pre>{escape(text)}</pre>"
