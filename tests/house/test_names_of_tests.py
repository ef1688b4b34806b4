"""Workers of a parallel run must find the same tests: no name holds bytes, which in an archive tell the time."""

from __future__ import annotations

import pytest


def test_names_of_cases_hold_no_bytes(request: pytest.FixtureRequest) -> None:
    assert request.session.items
    assert [item.nodeid for item in request.session.items if "\\x0" in item.nodeid or "\\x1" in item.nodeid] == []
