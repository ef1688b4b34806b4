"""Where the real test data lie, and the seed of everything random. Knows nothing of any test.

Tests run in random order (pytest-randomly): files, and tests within a file, whose fixtures are then still made once. The end
of the output names the seed of the order: ``--randomly-seed=N`` repeats it, and ``-p no:randomly`` keeps the order of the
files. What a test draws never depends on the order.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"

#: Of Python's, NumPy's and torch's global generators, at the start of every fixture and every test.
SEED = 20_261_130

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    """Leave the order to pytest-randomly, and the seeds to ``seed_everything``: its own differ from run to run."""
    if hasattr(config.option, "randomly_reset_seed"):
        config.option.randomly_reset_seed = False


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say the seed of the order at the end, since the quiet head says nothing: a failure must be repeatable."""
    seed = getattr(config.option, "randomly_seed", None)
    if seed is not None:
        terminalreporter.write_line(f"order of the tests: --randomly-seed={seed}")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a case by its argument where the value is bytes: archives hold the time, and workers must agree on the names."""
    return argname if isinstance(val, bytes) else None


def seed_everything() -> None:
    """Seed what draws from global generators; torch and NumPy only where something has imported them."""
    random.seed(SEED)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(SEED)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(SEED)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup() -> Iterator[Any]:
    """Seed every fixture, so that what a module shares is the same whichever test asks first."""
    seed_everything()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[Any]:
    """Seed every test after its fixtures, which may have been made now or before."""
    seed_everything()
    return (yield)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch on one thread, for tests that train: small steps lose more by waiting for threads than they gain."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data ($VOXLOOM_DATA or ../shared/data); without it the test is skipped with a clear line, in CI it fails."""
    folder = Path(os.environ.get("VOXLOOM_DATA", _DEFAULT))
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"real data absent: {folder} is not a folder; CI needs it")
        pytest.skip(f"real data absent: {folder} is not a folder; set VOXLOOM_DATA to run this test")
    return folder
