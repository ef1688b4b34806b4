"""What a command says of many scans at once."""

from __future__ import annotations

import pytest

from voxloom.cli import output
from voxloom.errors import BadInput, VoxloomError


def test_a_sentence_is_said_once_with_its_names(capsys: pytest.CaptureFixture[str]) -> None:
    output.note_once((f"s{n}", "no file of T2") for n in range(185))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("s0, s1, s2, s3, s4 and 180 more (185): no file of T2")
    output.note_once((f"s{n}", "no file of T2") for n in range(2))
    assert capsys.readouterr().err.startswith("s0, s1: no file of T2")


def test_failures_that_share_a_reason_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    failures: dict[str, VoxloomError] = {f"s{n}": BadInput("holds 2 series", f"s{n}/", "Choose one") for n in range(7)}
    failures |= {"s7": VoxloomError("no memory"), "s8": BadInput("is cut", "folder/s8.nii", "Copy it")}
    output.not_predicted(failures)
    assert capsys.readouterr().err.splitlines() == [
        "s0, s1, s2, s3, s4 and 2 more (7): not predicted: holds 2 series. Choose one",
        "s7: not predicted: no memory",
        "s8: not predicted: folder/s8.nii: is cut. Copy it",
    ]


def test_a_table_without_rows_is_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    output.table([["label", "mean Dice"]], title="Dice of held-out cases")
    assert capsys.readouterr().err.strip() == "Dice of held-out cases: none"
    output.table([["label", "mean Dice"], ["liver", "0.9"]], title="Dice of held-out cases")
    assert "liver  0.9" in capsys.readouterr().err
