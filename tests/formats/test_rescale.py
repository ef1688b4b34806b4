"""Slope and intercept of whole numbers: exact in the smallest type, at the ends of the types too; headers are parsed once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from voxloom.formats import read_volume
from voxloom.formats.checks import rescale
from voxloom.formats.dicom import files as dicom_files


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int16", "uint32", "int32"])
@pytest.mark.parametrize(
    ("slope", "intercept"),
    [(1, -1024), (-1, 5), (3, -7), (2, -40_000), (1, 70_000), (-5, 60_000), (1, -3_000_000)],
)
def test_whole_numbers_are_exact(kind: str, slope: int, intercept: int) -> None:
    info = np.iinfo(kind)
    ends = [max(info.min, -32_768), min(info.max, 65_535), 0, 1, 100]
    stored = np.array(ends, kind)
    found = rescale(stored, slope, intercept)
    assert found.dtype.kind in "iu"
    np.testing.assert_array_equal(found.astype(np.int64), stored.astype(np.int64) * slope + intercept)


def test_a_series_is_parsed_once_while_its_files_stay(
    series: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[Path] = []
    own = dicom_files.read_dataset

    def counted(path: Path, **asked: Any) -> Any:
        parsed.append(path)
        return own(path, **asked)

    monkeypatch.setattr(dicom_files, "read_dataset", counted)
    folder = series()
    before = read_volume(folder)
    count = len(parsed)
    assert count == before.shape[2]
    np.testing.assert_array_equal(read_volume(folder).data, before.data)
    assert len(parsed) == count
    for path in folder.iterdir():
        changed = pydicom.dcmread(path)
        changed.RescaleSlope, changed.RescaleIntercept = 1, 50
        changed.save_as(path)
    np.testing.assert_array_equal(read_volume(folder).data, before.data + 50)
    assert len(parsed) == 2 * count
