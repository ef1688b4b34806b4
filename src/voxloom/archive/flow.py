"""The report of a selection: how many patients, studies, series and instances each rule left.

Knows text, CSV and a flow diagram as CLAIM asks for (SVG, no library). Does not know the rules.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from html import escape
from pathlib import Path

from voxloom.archive.choose import Step
from voxloom.files import atomic_path, write_text

_COLUMNS = ("patients", "studies", "series", "instances")
_BOX, _HEIGHT, _SIDE, _GAP = 340, 46, 330, 26


def flow_text(steps: Sequence[Step]) -> str:
    """An aligned table, one line per rule, with what was left and how many series went."""
    rows = [["rule", *_COLUMNS, "series out"]]
    for number, step in enumerate(steps):
        out = steps[number - 1].series - step.series if number else 0
        rows.append([step.name, *(f"{getattr(step, name):,}" for name in _COLUMNS), f"{out:,}" if number else ""])
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def write_flow(steps: Sequence[Step], folder: Path) -> list[Path]:
    """Write flow.txt, flow.csv and flow.svg into ``folder``."""
    text, table, picture = (folder / f"flow.{ending}" for ending in ("txt", "csv", "svg"))
    write_text(text, flow_text(steps) + "\n")
    write_text(picture, flow_svg(steps))
    with atomic_path(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(["rule", *_COLUMNS])
        writer.writerows([step.name, *(getattr(step, name) for name in _COLUMNS)] for step in steps)
    return [text, table, picture]


def flow_svg(steps: Sequence[Step]) -> str:
    """A flow diagram: what was left goes down, what went out goes to the right with its reason."""
    parts = []
    for number, step in enumerate(steps):
        top = 10 + number * (_HEIGHT + _GAP)
        if number:
            parts += _leaving(steps[number - 1], step, top)
        title = "Archive" if number == 0 else "Selected" if number == len(steps) - 1 else "Left"
        parts += _box(
            10, top, _BOX, f"{title}: {step.series:,} series, {step.patients:,} patients", _rest(step), "#eef4fb"
        )
    height = 20 + len(steps) * (_HEIGHT + _GAP)
    width = _BOX + _SIDE + 80
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def _rest(step: Step) -> str:
    return f"{step.studies:,} studies, {step.instances:,} instances"


def _leaving(before: Step, step: Step, top: int) -> list[str]:
    middle, x = top - _GAP // 2, 10 + _BOX // 2
    out = before.series - step.series
    gone = f"{out:,} series out, {before.patients - step.patients:,} patients"
    return [
        f'<path d="M{x} {top - _GAP} V{top - 2} m-4 -6 l4 6 l4 -6" fill="none" stroke="#333"/>',
        f'<path d="M{x} {middle} H{_BOX + 48} m-6 -4 l6 4 l-6 4" fill="none" stroke="#333"/>',
        *_box(_BOX + 50, middle - _HEIGHT // 2, _SIDE, f"Without: {step.name}", gone, "#f7f1ea"),
    ]


def _box(x: int, y: int, width: int, first: str, second: str, fill: str) -> list[str]:
    return [
        f'<rect x="{x}" y="{y}" width="{width}" height="{_HEIGHT}" rx="4" fill="{fill}" stroke="#555"/>',
        f'<text x="{x + 10}" y="{y + 19}">{escape(first)}</text>',
        f'<text x="{x + 10}" y="{y + 36}" fill="#555">{escape(second)}</text>',
    ]
