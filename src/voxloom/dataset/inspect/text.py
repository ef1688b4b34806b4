"""The findings as plain text: facts, problems, suggestion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxloom.dataset.columns import Meanings
from voxloom.dataset.inspect.fingerprint import Fingerprint
from voxloom.dataset.inspect.problem import Problem
from voxloom.dataset.inspect.suggest import Suggestion

_SHOWN = 40


def inspect_text(
    found: Fingerprint, problems: Sequence[Problem], suggestion: Suggestion, columns: Meanings = ()
) -> str:
    """Everything in readable lines, without a case by case table; ``columns``: what those of the data set's table were taken for."""
    taken = "Columns of the table\n" + _bullets([f"{c}: {meaning}" for c, meaning in columns]) if columns else ""
    parts = [
        _heading(found),
        taken,
        *_tables(found),
        _problems(problems),
        "Suggestion\n" + _bullets(suggestion.reasons),
    ]
    return "\n\n".join(part for part in parts if part)


def label_rows(found: Fingerprint) -> list[list[str]]:
    """A table of the labels with a header row: share of voxels, volume, pieces; only the header without labels."""
    flat = all(case.shape[2] == 1 for case in found.readable)
    rows = [["label", "cases", "voxels", "median pixels" if flat else "median ml", "from", "to", "pieces"]]
    for name, share in list(found.label_frequencies.items())[:_SHOWN]:
        having = [case for case in found.labeled if case.label_voxels.get(name)]
        if not having:
            rows.append([name, "0", "0 %", "", "", "", ""])
            continue
        sizes = [case.label_voxels[name] * (1.0 if flat else case.voxel_ml) for case in having if case.readable] or [
            0.0
        ]
        pieces = [case.components.get(name, 0) for case in having]
        rows.append(
            [
                name,
                str(len(having)),
                f"{100 * share:.3g} %",
                *(f"{v:.3g}" for v in (np.median(sizes), min(sizes), max(sizes))),
                _from_to(min(pieces), max(pieces)),
            ]
        )
    return rows


def channel_rows(found: Fingerprint) -> list[list[str]]:
    """A table of the channels with a header row: medians of percentiles over the cases, and the range of the maxima."""
    rows = [["channel", "stored as", "median 0.5 %", "median 50 %", "median 99.5 %", "maximum from", "to"]]
    for name, found_percentiles in found.channel_percentiles.items():
        tops = [case.channels[name].whole.percentile(100) for case in found.having(name)]
        types = sorted({case.channels[name].dtype for case in found.having(name)})
        middle = [f"{found_percentiles[q]:.4g}" for q in (0.5, 50.0, 99.5)]
        rows.append([name, ", ".join(types), *middle, f"{min(tops):.4g}", f"{max(tops):.4g}"])
    return rows


def _heading(found: Fingerprint) -> str:
    lines = [f"{found.name}: {len(found.cases)} cases, {found.task}"]
    if found.readable:
        shapes = np.array([case.shape for case in found.readable])
        low, high = shapes.min(axis=0), shapes.max(axis=0)
        lines.append("size         " + " x ".join(_from_to(a, b) for a, b in zip(low, high, strict=True)) + " voxels")
        spacings = np.array([case.spacing for case in found.readable])
        pairs = zip(spacings.min(axis=0), spacings.max(axis=0), strict=True)
        unit = " pixels (no voxel size)" if found.unit == "pixel" else " mm"
        lines.append("voxel        " + " x ".join(_from_to(f"{a:.3g}", f"{b:.3g}") for a, b in pairs) + unit)
        lying = ", ".join(f"{n} {code}" for code, n in found.orientations.items())
        lines.append("orientation  " + ("not known" if found.unit == "pixel" else lying))
    if found.class_counts and found.task == "classification":
        lines.append("classes      " + ", ".join(f"{name}: {n}" for name, n in found.class_counts.items()))
    return "\n".join(lines)


def _tables(found: Fingerprint) -> list[str]:
    tables = [channel_rows(found), label_rows(found)]
    return [_aligned(rows) for rows in tables if len(rows) > 1]


def _problems(problems: Sequence[Problem]) -> str:
    if not problems:
        return "Problems\n  none found"
    return "Problems\n" + _bullets([str(problem) for problem in problems])


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"  - {line}" for line in lines)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _from_to(low: object, high: object) -> str:
    return str(low) if low == high else f"{low}-{high}"
