"""The short form of the kills; the long one: ``python -m tests.faults.kills``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def test_killed_commands_go_on_and_corrupt_nothing() -> None:
    """In a process of its own: its children are forks, which a process with threads must not make."""
    command = [sys.executable, "-m", "tests.faults.kills", "--kills", "12", "--seed", "3", "--only", "prepare", "train"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 findings" in done.stdout
    assert int(done.stdout.splitlines()[-1].split()[0]) >= 12


def test_a_corrupt_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.faults.kills import corrupt_files, leftovers

    (tmp_path / "whole.json").write_text("{}")
    assert corrupt_files(tmp_path) == []
    for name in ("half.json", "half.nii.gz", "half.voxcase", "half.safetensors", "last.ckpt", "half.csv", "half.html"):
        (tmp_path / name).write_bytes(b"\x00half")
    (tmp_path / ".half.part.json").write_bytes(b"half")
    assert len(corrupt_files(tmp_path)) == 7
    assert leftovers(tmp_path) == [".half.part.json"]
