"""What tests of the clinic side share: one Orthanc per file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serve.orthanc import Orthanc, running


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A real PACS on this machine, without any patient at first, for one file of tests."""
    with running(tmp_path_factory.mktemp("orthanc")) as server:
        yield server
