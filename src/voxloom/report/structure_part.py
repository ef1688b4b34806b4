"""The section on single structures of a run's page: how many were found, and how well each, counted from the head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from voxloom.evaluation.instances import LEAST_IOU
from voxloom.evaluation.statistics import interval_text
from voxloom.report.parts import Part, number, table_of


def structure_parts(summary: Mapping[str, Any]) -> Iterator[Part]:
    """A section for the held-out, the test and the external cases, where their structures were counted.

    Parameters
    ----------
    summary : of the run (``summary.json``).
    """
    external = [(f"External cases of {name}", kept) for name, kept in (summary.get("external") or {}).items()]
    sets = [("Held-out cases", summary.get("validation")), ("Test cases", summary.get("test")), *external]
    for name, kept in sets:
        figures = (kept or {}).get("structures")
        if figures and figures["true"]:
            yield _part(name, figures)


def _part(name: str, figures: Mapping[str, Any]) -> Part:
    text = (
        f"Of {figures['true']} true structures {figures['found']} were found and {figures['missed']} missed; {figures['extra']} were "
        f"predicted where there is none. {figures['same_number']} of those found have the right number from the head. Found: "
        f"IoU of at least {LEAST_IOU:g}. A missed "
        "structure counts as Dice 0. Volumes and places are in structures.csv."
    )
    rows = [
        [
            kind,
            dice["n"],
            f"{number(dice['mean'])} [{interval_text(dice['ci'], 3)}]",
            number(dice["median"]),
            number(dice["sd"]),
            number(dice["min"]),
        ]
        for kind, dice in figures["dice"].items()
    ]
    head = ["Structure", "Cases", "Dice, mean [95 % CI]", "Median", "SD", "Lowest"]
    return Part(f"{name}: structures from head to feet", text, table_of(head, rows))
