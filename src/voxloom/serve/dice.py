"""Dice of two label maps on disk, remembered while both files stay as they are: lists and curves ask for the same ones again."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from voxloom.dataset import Labels
from voxloom.evaluation.case import evaluate_case
from voxloom.formats import read_label

#: What a file looks like from outside: time of change (ns) and size.
_Look = tuple[int, int]


def dice_of(first: Path, second: Path, labels: Labels) -> dict[str, float]:
    """Dice per label of two label maps on one grid, and their ``mean`` (BadInput where they cannot be compared)."""
    return dict(_dice_of(first, _look(first), second, _look(second), labels))


@lru_cache(maxsize=4096)
def _dice_of(first: Path, _: _Look, second: Path, __: _Look, labels: Labels) -> tuple[tuple[str, float], ...]:
    each = {label: float(m.dice) for label, m in evaluate_case(read_label(first), read_label(second), labels).items()}
    return (*each.items(), ("mean", sum(each.values()) / len(each)))


def _look(file: Path) -> _Look:
    stamp = file.stat()
    return stamp.st_mtime_ns, stamp.st_size
