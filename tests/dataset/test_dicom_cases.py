"""A case that is a folder of DICOM slices."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from voxloom.dataset import Dataset
from voxloom.errors import BadInput

Make = Any


def test_dicom_folders_as_cases(make_nnunet: Make, data_dir: Path) -> None:
    root = make_nnunet(about={"channel_names": {"0": "MR"}})
    shutil.rmtree(root / "imagesTr")
    series = data_dir / "brain-dicom" / "Study1"
    for case in "abc":
        (root / "imagesTr").mkdir(exist_ok=True)
        (root / "imagesTr" / case).symlink_to(next(series.glob("*HCrop*")), target_is_directory=True)
    data = Dataset(root)
    assert sorted(data["a"].read_image().shape) == [32, 35, 51]
    assert len(data["a"].source_files) == 33
    with pytest.raises(BadInput, match="does not lie on its image: shape"):
        data["a"].read_label()
