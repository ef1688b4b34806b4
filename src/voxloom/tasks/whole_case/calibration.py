"""What held-out cases, or those of another data set, teach about answers: the file ``calibration.json`` of a run.

Knows the file and which cases it was fitted to. What is fitted is the task's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxloom.dataset import Case
from voxloom.digests import file_digests
from voxloom.files import read_json, write_json

CALIBRATION = "calibration.json"
#: What a reader of a figure must know of a case that the calibration was fitted to.
TOLD = "was used to calibrate the run, so that what is said of its probabilities, sets or intervals is too good"


def read_calibration(run: Path) -> dict[str, Any] | None:
    """What a run learned; None where there was no case to learn from."""
    path = run / CALIBRATION
    return read_json(path) if path.is_file() else None


def write_calibration(
    run: Path, about: Mapping[str, Any], name: str = "held-out cases", cases: Sequence[Case] = ()
) -> None:
    """Keep it, with the name of the set and hashes of the cases of another data set."""
    used = sorted(digest for case in cases for digest in file_digests(case.image_files).values())
    write_json(run / CALIBRATION, {**about, "on": name, **({"used": used} if used else {})})


def was_used(case: Case, used: frozenset[str]) -> bool:
    """Whether the calibration was fitted to a case."""
    return bool(used) and bool(used & set(file_digests(case.image_files).values()))
