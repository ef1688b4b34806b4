"""Where the real test data lie, and the seed of everything random. Knows nothing of any test.

Tests run in random order (pytest-randomly): files, and tests within a file, whose fixtures are then still made once. The end
of the output names the seed of the order: ``--randomly-seed=N`` repeats it, and ``-p no:randomly`` keeps the order of the
files. What a test draws never depends on the order.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.pictures import draws, undrawn

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"

#: Of Python's, NumPy's and torch's global generators, at the start of every fixture and every test.
SEED = 20_261_130

#: Files that take longest, the longest first (``make unit``).
LONGEST = (
    "tasks/test_every_verb.py", "card/test_dry_run.py", "study/test_export_kinds.py", "study/test_run.py", "card/test_gpu_suite.py",
    "notebooks/test_notebooks.py",
    "networks/test_contract.py", "study/test_published.py", "tasks/test_contract.py", "study/test_lumbar_path.py",
    "study/test_kinds.py", "study/test_shipped.py", "training/test_fit.py", "cli/test_next_lines.py", "attribution/test_explain.py",
    "cli/test_bad_command_lines.py", "machines/test_verbs.py", "training/test_ranks.py", "study/test_whole_case_recipes.py",
    "study/test_share.py", "serve/test_engine.py", "faults/test_system.py", "study/test_structures.py",
)  # fmt: skip

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    """Leave the order to pytest-randomly, and the seeds to ``seed_everything``: its own differ from run to run."""
    config.addinivalue_line("markers", "drawn: pictures are drawn as users get them (tests.pictures)")
    if hasattr(config.option, "randomly_reset_seed"):
        config.option.randomly_reset_seed = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several workers the longest files begin first: one that comes last keeps one core while the others wait."""
    if hasattr(config, "workerinput"):
        begins = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
        items.sort(key=lambda item: begins.get(item.path, len(begins)))


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
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Seed every fixture, so that what a module shares is the same whichever test asks first; see ``tests.pictures`` for what
    it draws."""
    seed_everything()
    with contextlib.nullcontext() if draws(request.node) else undrawn():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[Any]:
    """Seed every test after its fixtures, which may have been made now or before; see ``tests.pictures`` for what is drawn."""
    seed_everything()
    with contextlib.nullcontext() if draws(item) else undrawn():
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
