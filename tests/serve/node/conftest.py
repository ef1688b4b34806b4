"""A peer that takes results, and settings of a node that sends them there.

Whatever a test did: at its end nothing that the node wrote beside the images and results themselves tells of the patient.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.node.parts import NAME, PATIENT_ID, Peer, Place


@pytest.fixture
def place(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Place]:
    peer = Peer(tmp_path / "peer")
    found = Place(tmp_path, peer)
    found.write()
    yield found
    peer.close()
    said = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")]
    said += [path.read_text(encoding="utf-8") for path in found.queue.rglob("*.json*")]
    told = "\n".join([*said, *capfd.readouterr()]).lower()
    assert not [word for word in (*NAME.split("^"), PATIENT_ID) if word.lower() in told]
