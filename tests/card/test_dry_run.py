"""The tests on the pretended card, each file in a process that has one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.card.conftest import ALONE, ON_CARD

ROOT = Path(__file__).parents[2]


def test_every_file_on_the_card_is_started() -> None:
    files = {path.name for path in Path(__file__).parent.glob("test_*.py")}
    assert files == {*ON_CARD, "test_dry_run.py", "test_gpu_suite.py"}


@pytest.mark.parametrize("name", ON_CARD)
def test_dry_run_on_a_pretended_card(name: str) -> None:
    line = [sys.executable, "-m", "pytest", "--tb=short", "-p", "no:cacheprovider", f"tests/card/{name}"]
    environment = {**os.environ, ALONE: "1", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
