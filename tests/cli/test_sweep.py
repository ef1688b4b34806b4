"""``voxloom sweep`` at the command line: bad input. What it prints is tested beside the sweep, in ``tests/study/sweep``."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxloom.cli.app import run


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("over: {training.bach: [1]}\ndata: balls", "Did you mean `batch`"),
        ("data: x", "over"),
        ("over: [1", "not valid YAML"),
        ("data: nothing\nover: {seed: [1]}", "nothing"),
    ],
)
def test_bad_input_leaves_nothing(tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.yaml").write_text(text)
    assert run(["sweep", str(tmp_path / "s.yaml"), "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert message in error
    assert not (tmp_path / "out").exists()
