"""The count of steps: progress reaches 1 exactly at the last step, whatever is corrected on the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom.training.pace import Pace


@given(st.integers(1, 300), st.lists(st.tuples(st.integers(0, 200), st.integers(1, 200)), max_size=4))
def test_progress_grows_and_ends_at_one(steps: int, corrections: list[tuple[int, int]]) -> None:
    pace, last = Pace(steps), 0.0
    due = dict(corrections)
    while not pace.done:
        if pace.step in due:
            pace.fit_into(due[pace.step], 1.0)
        pace.advance()
        assert last <= pace.progress <= 1.0
        last = pace.progress
    assert pace.progress == 1.0


def test_correction_fits_the_time_left() -> None:
    pace = Pace(100)
    for _ in range(50):
        pace.advance()
    pace.fit_into(seconds_left=20.0, seconds_per_step=0.5)
    assert pace.total() == 90
    assert pace.changes == [(50, 90)]


def test_small_corrections_are_left_alone() -> None:
    pace = Pace(1000)
    pace.fit_into(seconds_left=1010.0, seconds_per_step=1.0)
    assert pace.changes == []


def test_replaying_changes_gives_the_same_progress() -> None:
    first = Pace(100)
    record = []
    while not first.done:
        if first.step == 40:
            first.fit_into(30.0, 1.0)
        record.append(first.progress)
        first.advance()
    again = Pace(100, list(first.changes))
    replay = []
    while not again.done:
        replay.append(again.progress)
        again.advance()
    assert replay == record


def test_state_continues() -> None:
    pace = Pace(10)
    for _ in range(4):
        pace.advance()
    other = Pace(99)
    other.load_state_dict(pace.state_dict())
    assert (other.step, other.total(), other.progress) == (4, 10, pytest.approx(pace.progress))


def test_extending_reopens_the_schedule() -> None:
    pace = Pace(10)
    while not pace.done:
        pace.advance()
    pace.extend(30)
    assert not pace.done
    assert pace.total() == 40
    assert pace.progress == pytest.approx(0.25)
