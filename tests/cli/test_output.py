"""What a command says of many scans at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxloom.cli import output
from voxloom.errors import BadInput, VoxloomError
from voxloom.run.scans import Scan


def scans(count: int) -> list[Scan]:
    """Scans s0, s1 ..."""
    return [Scan(f"s{n}", (Path(f"s{n}_0000.nii"),), ".nii", missing=(1,)) for n in range(count)]


def test_a_sentence_is_said_once_with_its_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(output.filled_channels(scans(185), ["T1", "T2"])) == 185
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("s0, s1, s2, s3, s4 and 180 more (185): no file of T2; filled as in training")
    output.filled_channels(scans(2), ["T1", "T2"])
    assert capsys.readouterr().err.startswith("s0, s1: no file of T2")


def test_failures_that_share_a_reason_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    shared = [(scan, BadInput("holds 2 series", f"{scan.name}/", "Choose one")) for scan in scans(7)]
    alone = [(scan, VoxloomError("no memory")) for scan in scans(1)]
    own = [(scan, BadInput("is cut", "folder/s0.nii", "Copy it")) for scan in scans(1)]
    output.not_predicted([*shared, *alone, *own])
    assert capsys.readouterr().err.splitlines() == [
        "s0, s1, s2, s3, s4 and 2 more (7): not predicted: holds 2 series. Choose one",
        "s0: not predicted: no memory",
        "s0: not predicted: folder/s0.nii: is cut. Copy it",
    ]
