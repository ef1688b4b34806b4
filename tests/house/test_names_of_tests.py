"""Workers of a parallel run must find the same tests: no name holds bytes, which in an archive tell the time."""

from __future__ import annotations

import gzip

import pytest


@pytest.mark.parametrize("packed", [gzip.compress(b"a"), gzip.compress(b"b")])
def test_a_case_of_bytes_is_named_by_its_argument(request: pytest.FixtureRequest, packed: bytes) -> None:
    assert packed.startswith(b"\x1f\x8b")
    assert request.node.callspec.id in {"packed0", "packed1"}
