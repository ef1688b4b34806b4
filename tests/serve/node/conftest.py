"""A peer that takes results, and settings of a node that sends them there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.node.parts import Peer, Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    peer = Peer(tmp_path / "peer")
    found = Place(tmp_path, peer)
    found.write()
    yield found
    peer.close()
