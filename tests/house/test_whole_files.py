"""No picture is written under its own name while it is drawn: a killed command leaves no half file behind."""

from __future__ import annotations

import ast
import re
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "voxloom"


def test_one_place_saves_figures() -> None:
    """Only ``report/style.py`` saves figures, each through ``atomic_path`` or into memory."""
    savers = {str(p.relative_to(SOURCE)) for p in SOURCE.rglob("*.py") if ".savefig(" in p.read_text(encoding="utf-8")}
    assert savers == {"report/style.py"}


def test_the_longest_files_of_tests_are_there() -> None:
    """They are named so that they begin first; one that moves would come last."""
    tests = Path(__file__).parents[1]
    named = ast.literal_eval(re.search(r"^LONGEST = (\(.*?^\))", (tests / "conftest.py").read_text(), re.M | re.S)[1])
    assert [name for name in named if not (tests / name).is_file()] == []
    assert len(set(named)) == len(named) > 5
