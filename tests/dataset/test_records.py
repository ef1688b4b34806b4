"""A record of a case tells later how its image and its label are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom.dataset import Dataset
from voxloom.dataset.leaks import describe_case
from voxloom.dataset.records import recorded_case
from voxloom.formats import write_dicom_series
from voxloom.volume import Volume

Make = Any


def agree(dataset: Dataset, old: bool) -> None:
    """Image and label are the same when they are read by way of the record, with or without the sources."""
    for case in dataset:
        record = json.loads(json.dumps(describe_case(case)))
        if old:
            del record["sources"]
        again = recorded_case(record)
        assert (again.id, again.patient) == (case.id, case.patient)
        image, label, truth = again.read_image(), again.read_label(), case.read_label()
        assert (image.data[0] == case.read_image().data[0]).all()
        assert label is not None
        assert truth is not None
        assert (label.data == truth.data).all()


@pytest.mark.parametrize("old", [False, True])
def test_dicom_folders(make_nnunet: Make, nifti: Make, tmp_path: Path, old: bool) -> None:
    root = make_nnunet(about={"channel_names": {"0": "MR"}}, values={"a": 1})
    for path in (root / "imagesTr").iterdir():
        path.unlink()
    random = np.random.default_rng(0).integers(0, 99, (1, 6, 5, 4)).astype(np.int16)
    write_dicom_series(Volume(random, np.diag([-2.0, -1.0, 1.0, 1.0])), root / "imagesTr" / "a")
    nifti(root / "labelsTr" / "a.nii.gz", 1, affine=np.diag([-2.0, -1.0, 1.0, 1.0]))
    agree(Dataset(root), old)
    if not old:
        series = Dataset(root)["a"].read_image().meta["series_uid"]
        agree(Dataset(root, series=[series]), old)


@pytest.mark.parametrize("old", [False, True])
def test_masks_of_their_own(nifti: Make, text: Make, tmp_path: Path, old: bool) -> None:
    text(tmp_path / "dataset_description.json", '{"Name": "b"}')
    left, right = np.zeros((2, 6, 5, 4), np.uint8)
    left[:2], right[3:] = 1, 1
    folder = tmp_path / "sub-01" / "anat"
    for name, values in (("T1w", left + 5), ("label-left_mask", left), ("label-right_mask", right)):
        nifti(folder / f"sub-01_{name}.nii.gz", values)
    data = Dataset(tmp_path)
    assert set(np.unique(data[0].read_label().data)) == {0, 1, 2}  # type: ignore[union-attr]
    agree(data, old)


def test_channels_of_a_file_and_missing_ones(make_nnunet: Make, make_msd: Make, nifti: Make) -> None:
    root = make_nnunet()
    (root / "imagesTr" / "c_0000.nii.gz").unlink()
    agree(Dataset(root).subset(["a", "b"]), False)
    lacking = Dataset(root)["c"]
    again = recorded_case(json.loads(json.dumps(describe_case(lacking))))
    assert again.missing == (0,)
    assert np.isnan(again.read_image().data[0]).all()
    msd = make_msd({"modality": {"0": "T1", "1": "T2"}})
    for case in "abc":
        nifti(msd / "imagesTr" / f"{case}.nii.gz", np.random.default_rng(0).random((6, 5, 4, 2)).astype(np.float32))
    agree(Dataset(msd).training, False)
