"""The simulated archive, built and indexed once."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxloom.archive import Archive, index_archive

from .phantom_archive import build


@pytest.fixture(scope="session")
def phantom_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("scänner äb") / "with space")


@pytest.fixture(scope="session")
def phantom(phantom_folder: Path) -> Archive:
    """The indexed archive; the Parquet file lies beside the folder."""
    path = phantom_folder.parent / "archive.parquet"
    index_archive([phantom_folder], path)
    return Archive(path)
