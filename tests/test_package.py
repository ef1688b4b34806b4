"""What ``import voxloom`` does to the process, and what it leaves to its owner."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

KEY = "THP_MEM_ALLOC_ENABLE"


@pytest.mark.parametrize(("given", "seen"), [(None, "1"), ("0", "0")])
def test_large_pages_are_asked_for_unless_the_owner_says_no(given: str | None, seen: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != KEY}
    if given is not None:
        environment[KEY] = given
    code = f"import os, voxloom; print(os.environ[{KEY!r}])"
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == seen


def test_import_stays_cheap() -> None:
    code = "import sys, voxloom; print(sorted({'torch', 'numpy', 'pydantic'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
