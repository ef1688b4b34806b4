"""Workers: order, errors that name the item, deaths, and scripts without a main guard."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from voxloom.errors import BadInput, VoxloomError
from voxloom.parallel import map_outcomes

ITEMS = [(f"case_{n}", n) for n in range(12)]


def square(value: int) -> int:
    return value * value


def refuse_five(value: int) -> int:
    if value == 5:
        raise BadInput("five is refused", "five.nii.gz", "Use four")
    return value


def fail_on_five(value: int) -> int:
    if value == 5:
        raise ValueError("odd")
    return value


def die_on_five(value: int) -> int:
    if value == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def starve_on_five(value: int) -> int:
    if value == 5:
        raise MemoryError
    return value


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_order_with_progress(workers: int) -> None:
    seen: list[tuple[int, int]] = []
    results = list(
        map_outcomes(
            square,
            ITEMS,
            step="squaring",
            workers=workers,
            progress=lambda *at: seen.append(at),
        )
    )
    assert results == [(name, n * n) for name, n in ITEMS]
    assert seen == [(n, 12) for n in range(1, 13)]


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_input_stays_bad_input_and_names_the_item(workers: int) -> None:
    error = dict(map_outcomes(refuse_five, ITEMS, step="reading", workers=workers))["case_5"]
    assert isinstance(error, BadInput)
    assert str(error) == "case_5: five.nii.gz: five is refused. Use four"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_names_item_step_and_cause(workers: int) -> None:
    error = dict(map_outcomes(fail_on_five, ITEMS, step="reading", workers=workers))["case_5"]
    assert isinstance(error, VoxloomError)
    assert "case_5: reading failed: ValueError: odd" in str(error)


def test_a_killed_worker_is_named_and_the_others_finish() -> None:
    outcomes = dict(map_outcomes(die_on_five, ITEMS, step="reading", workers=2))
    failed = {name: error for name, error in outcomes.items() if isinstance(error, VoxloomError)}
    assert list(failed) == ["case_5"]
    assert "killed (SIGKILL" in str(failed["case_5"])
    assert [value for value in outcomes.values() if isinstance(value, int)] == [n for n in range(12) if n != 5]


@pytest.mark.parametrize("workers", [1, 2])
def test_out_of_memory_in_one_item_is_reported(workers: int) -> None:
    outcomes = dict(map_outcomes(starve_on_five, ITEMS, step="reading", workers=workers))
    assert "case_5: reading failed: it needs more memory" in str(outcomes["case_5"])
    assert sum(isinstance(value, int) for value in outcomes.values()) == 11


def test_leaving_early_stops_the_workers() -> None:
    results = map_outcomes(square, ITEMS, step="squaring", workers=2)
    assert next(iter(results)) == ("case_0", 0)
    results.close()  # type: ignore[attr-defined]


def test_nothing_to_do() -> None:
    assert list(map_outcomes(square, [], step="squaring", workers=2)) == []


def test_a_script_without_main_guard_works(tmp_path: Path) -> None:
    script = tmp_path / "no guard é.py"
    script.write_text(
        "from math import sqrt\n"
        "from voxloom.parallel import map_outcomes\n"
        "print(list(map_outcomes(sqrt, [('a', 4.0), ('b', 9.0)], step='roots', workers=2)))\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[('a', 2.0), ('b', 3.0)]"
