"""The suite for the day a graphics card is there: every part in its short form on the processor, and how the parts are kept."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.usefixtures("one_thread")


def loaded(name: str) -> ModuleType:
    """A script of the suite."""
    spec = importlib.util.spec_from_file_location(f"gpu_suite_{name}", ROOT / "gpu" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


suite, parts = loaded("suite"), loaded("parts")


def test_the_suite_knows_every_part_and_they_fit_into_two_calls_of_ten_minutes() -> None:
    assert set(suite.PARTS) == set(parts.PARTS)
    assert sum(suite.PARTS.values()) < 2 * 600
    assert max(suite.PARTS.values()) < 600
    assert next(iter(suite.PARTS)) == "losses_and_weights", "correctness comes first"


@pytest.mark.parametrize("name", suite.PARTS)
def test_every_part_runs_in_its_short_form(name: str, tmp_path: Path) -> None:
    options = argparse.Namespace(device="cpu", work=tmp_path, short=True)
    found: dict[str, Any] = parts.PARTS[name](options)
    assert json.loads(json.dumps(found)) == found
    assert found
    expected = {
        "resume_and_kill": ("bit for bit", True), "determinism": ("the same weights twice", True),
        "windowed": ("voxels", 40 * 40 * 32), "predictions": ("largest difference of a probability", "0.0e+00"),
    }  # fmt: skip
    if name in expected:
        key, value = expected[name]
        assert found[key] == value
    if name == "losses_and_weights":
        assert set(found.values()) == {"0.0e+00"}, "the processor agrees with itself"


def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    line = [
        "suite.py",
        "--device",
        "cpu",
        "--short",
        "--results",
        str(tmp_path / "r.json"),
        "--work",
        str(tmp_path / "w"),
        *more,
    ]
    monkeypatch.setattr(sys, "argv", line)
    code: int = suite.main()
    return code


def test_what_is_done_is_kept_and_what_failed_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def part(name: str, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
        ran.append(name)
        return (
            {"error": "RuntimeError: no"}
            if name == "step" and ran.count("step") == 1
            else {"found": {"x": 1}, "seconds": 2}
        )

    monkeypatch.setattr(suite, "run_part", part)
    assert call(tmp_path, monkeypatch) == 1
    assert ran == list(suite.PARTS)
    assert "| step | failed: RuntimeError: no |" in capsys.readouterr().out
    assert call(tmp_path, monkeypatch) == 0
    assert ran[len(suite.PARTS) :] == ["step"]
    known = json.loads((tmp_path / "r.json").read_text())
    assert known["about"]["device"] == "no graphics card"
    assert set(known["parts"]) == set(suite.PARTS)
    assert call(tmp_path, monkeypatch, "--minutes", "0", "--again") == 0
    assert "waits for the next call" in capsys.readouterr().err
    assert len(ran) == len(suite.PARTS) + 1, "no time, so nothing ran"


def test_a_part_runs_in_a_process_of_its_own_and_its_last_line_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "HERE", tmp_path)
    script = "import sys; print('noise'); assert sys.argv[1] == 'good', 'losses differ'; print('{\"x\": 1}')"
    (tmp_path / "parts.py").write_text(script)
    options = argparse.Namespace(device="cpu", work=tmp_path, short=True)
    assert suite.run_part("good", options, 600)["found"] == {"x": 1}
    assert suite.run_part("bad", options, 600)["error"] == "AssertionError: losses differ"
    (tmp_path / "parts.py").write_text("import time; time.sleep(60)")
    assert "not done after" in suite.run_part("slow", options, 0.5)["error"]


def test_without_a_card_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["suite.py", "--results", str(tmp_path / "r.json"), "--work", str(tmp_path / "w")])
    assert suite.main() == 2
    assert "no graphics card was found. Use --device cpu" in capsys.readouterr().err
    assert not (tmp_path / "r.json").exists()


def test_the_table_goes_under_its_heading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "RESULTS.md"
    page.write_text("# Results\n\n## One\n\nfirst\n\n## On a graphics card\n\nold\n\n## Two\n\nsecond\n")
    monkeypatch.setattr(suite, "RESULTS", page)
    suite.record("new")
    assert page.read_text() == "# Results\n\n## One\n\nfirst\n\n## On a graphics card\n\nnew\n\n## Two\n\nsecond\n"
    page.write_text("# Results\n\n## One\n\nfirst\n")
    suite.record("new")
    assert page.read_text() == "# Results\n\n## One\n\nfirst\n\n## On a graphics card\n\nnew\n"
