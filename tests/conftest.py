"""Where the real test data lie. Knows nothing of any test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data ($VOXLOOM_DATA or ../shared/data); without it the test is skipped with a clear line, in CI it fails."""
    folder = Path(os.environ.get("VOXLOOM_DATA", _DEFAULT))
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"real data absent: {folder} is no folder; CI needs it")
        pytest.skip(f"real data absent: {folder} is no folder; set VOXLOOM_DATA to run this test")
    return folder
