"""``voxloom sweep`` at the command line: what is refused, what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voxloom.cli.app import run

from ..conftest import write_balls
from .fakes import FakeWorkers


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep of two levels over four cases, whose trainings are computed: the second level fails."""
    write_balls(tmp_path / "balls", 4)
    path = tmp_path / "study é.yaml"
    path.write_text("data: balls\nover: {training.batch: [1, 2]}\n")
    workers = FakeWorkers(lambda levels: 0.75 if levels["training.batch"] == "1" else "no memory")
    monkeypatch.setattr("voxloom.cli.sweep.start_workers", lambda *arguments: workers)
    return path


def test_prints_the_tables_the_best_and_the_failures(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = study.parent / "out"
    assert run(["sweep", str(study), "-o", str(out)]) == 0
    printed = capsys.readouterr()
    assert "1/2  training.batch=1  0.7500 in 2 s" in printed.err
    assert "2/2  training.batch=2  failed: no memory" in printed.err
    assert "1 of 2 runs failed" in printed.err
    assert "Best: trial 1 with 0.7500" in printed.out
    assert f"Wrote {out / 'table.csv'}" in printed.out
    assert f"voxloom predict {out / 'runs' / '0001'} SCAN" in printed.out


def test_json(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sweep", str(study), "-o", str(study.parent / "out"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["best"] == 1
    assert [trial["status"] for trial in result["trials"]] == ["finished", "failed"]
    assert result["tables"][0]["levels"]["all"]["dice"]["missing"] == 1


def test_a_sweep_without_any_result_is_a_failure(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxloom.cli.sweep.start_workers", lambda *arguments: FakeWorkers(lambda levels: "no"))
    assert run(["sweep", str(study), "-o", str(study.parent / "out")]) == 1


def test_interruption_says_how_to_go_on(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = FakeWorkers(lambda levels: 0.5, stop_after=1)
    monkeypatch.setattr("voxloom.cli.sweep.start_workers", lambda *arguments: stopped)
    out = study.parent / "out"
    assert run(["sweep", str(study), "-o", str(out)]) == 130
    assert "--resume" in capsys.readouterr().err
    monkeypatch.setattr("voxloom.cli.sweep.start_workers", lambda *arguments: FakeWorkers(lambda levels: 0.5))
    assert run(["sweep", str(study), "-o", str(out), "--resume"]) == 0
    assert run(["sweep", str(study), "-o", str(out)]) == 2
