"""How values look in a notebook: small HTML tables. Knows no run."""

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


def html_text(title: str, notes: Sequence[str]) -> str:
    """A title in bold and lines below it."""
    bold = f"<p><b>{escape(title)}</b></p>" if title else ""
    return bold + "".join(f"<p>{escape(note)}</p>" for note in notes)


def html_plain(text: str) -> str:
    """Text with its line breaks and columns."""
    return f"<pre>{escape(text)}</pre>"
