"""Leaving: a data set written as nnU-Net v2 raw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from voxloom.dataset import Dataset, Labels
from voxloom.errors import BadInput

Make = Any


def about(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "dataset.json").read_text())
    return content


def test_files_that_fit_are_copied_byte_by_byte(make_msd: Make, tmp_path: Path) -> None:
    root = make_msd()
    out = Dataset(root).write_nnunet(tmp_path / "Dataset001_Toy")
    assert sorted(p.name for p in (out / "imagesTr").iterdir()) == [f"{c}_0000.nii.gz" for c in "abc"]
    assert sorted(p.name for p in (out / "labelsTr").iterdir()) == [f"{c}.nii.gz" for c in "abc"]
    assert [p.name for p in (out / "imagesTs").iterdir()] == ["t_0000.nii.gz"]
    assert (out / "imagesTr/a_0000.nii.gz").read_bytes() == (root / "imagesTr/a.nii.gz").read_bytes()
    assert (out / "labelsTr/a.nii.gz").read_bytes() == (root / "labelsTr/a.nii.gz").read_bytes()
    described = about(out)
    assert described["channel_names"] == {"0": "MRI"}
    assert described["labels"] == {"background": 0, "cord": 1}
    assert described["numTraining"] == 3
    assert described["file_ending"] == ".nii.gz"
    again = Dataset(out)
    assert again.layout == "nnU-Net"
    assert [c.id for c in again] == ["a", "b", "c", "t"]


def test_label_values_become_consecutive(make_nnunet: Make, tmp_path: Path, nifti: Make) -> None:
    declared = {"background": 0, "far": 207, "near": 5, "ignore": 100}
    root = make_nnunet(values={"a": 207, "b": 5, "c": 100}, about={"labels": declared})
    out = Dataset(root).write_nnunet(tmp_path / "out")
    assert about(out)["labels"] == {"background": 0, "near": 1, "far": 2, "ignore": 3}
    assert about(out)["voxloom_values"] == {"0": 0, "1": 5, "2": 207, "3": 100}
    assert about(out)["channel_names"] == {"0": "T1", "1": "CT"}
    for case, value in (("a", 2), ("b", 1), ("c", 3)):
        written = nib.load(out / "labelsTr" / f"{case}.nii.gz")
        assert np.asarray(written.dataobj).max() == value
        assert np.allclose(written.affine, np.diag([2, 1, 1, 1]))


def test_regions_keep_their_order_and_ignore_is_highest(make_nnunet: Make, tmp_path: Path) -> None:
    declared = {"background": 0, "whole": [10, 20], "core": 20, "ignore": 15}
    root = make_nnunet(values={"a": 10, "b": 20}, about={"labels": declared, "regions_class_order": [10, 20]})
    described = about(Dataset(root).write_nnunet(tmp_path / "out"))
    assert described["labels"] == {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}
    assert described["regions_class_order"] == [1, 2]


def test_pictures_are_copied_and_masks_of_255_mapped(tmp_path: Path, picture: Make) -> None:
    picture(tmp_path / "p/images/a.png", np.full((4, 6), 9))
    picture(tmp_path / "p/masks/a.png", np.eye(4, 6) * 255)
    out = Dataset(tmp_path / "p").write_nnunet(tmp_path / "out")
    assert about(out)["file_ending"] == ".png"
    assert about(out)["labels"] == {"background": 0, "label_255": 1}
    assert (out / "imagesTr/a_0000.png").read_bytes() == (tmp_path / "p/images/a.png").read_bytes()
    label = Dataset(out)["a"].read_label()
    assert label is not None
    assert label.data[0, 1, 1, 0] == 1
    assert label.data.max() == 1


def test_mixed_endings_are_converted(tmp_path: Path, nifti: Make) -> None:
    nifti(tmp_path / "p/images/a.nii", 7)
    nifti(tmp_path / "p/labels/a.nii.gz", 1)
    out = Dataset(tmp_path / "p").write_nnunet(tmp_path / "out")
    image = nib.load(out / "imagesTr/a_0000.nii.gz")
    assert np.asarray(image.dataobj).max() == 7
    assert np.allclose(image.affine, np.diag([2, 1, 1, 1]))


def test_patients_and_attributes_travel_along(make_nnunet: Make, tmp_path: Path, text: Make) -> None:
    root = make_nnunet()
    text(root / "participants.csv", "case,patient,age\na,p1,61\nb,p1,62\nc,p2,\n")
    again = Dataset(Dataset(root).write_nnunet(tmp_path / "out"))
    assert [c.patient for c in again] == ["p1", "p1", "p2"]
    assert again["a"].attributes == {"age": 61}


def test_nothing_is_overwritten_and_nothing_half_is_left(make_nnunet: Make, tmp_path: Path) -> None:
    data = Dataset(make_nnunet())
    (tmp_path / "out").mkdir()
    with pytest.raises(BadInput, match="exists already"):
        data.write_nnunet(tmp_path / "out")
    (data.root / "labelsTr" / "c.nii.gz").write_bytes(b"broken")
    before = set(tmp_path.iterdir())
    with pytest.raises(BadInput, match=r"c.nii.gz"):
        data.write_nnunet(tmp_path / "new")
    assert set(tmp_path.iterdir()) == before


def test_an_undeclared_value_names_value_file_and_declaration(make_nnunet: Make, tmp_path: Path) -> None:
    data = Dataset(make_nnunet(values={"a": 1, "b": 3}))
    with pytest.raises(BadInput) as caught:
        data.write_nnunet(tmp_path / "out")
    for part in ("3", "b.nii.gz", "1 cord", "2 disc"):
        assert part in str(caught.value)


def test_real_hippocampus_is_written_and_read(data_dir: Path, tmp_path: Path) -> None:
    data = Dataset(data_dir / "hippocampus")
    few = data.subset([c.id for c in data.cases[:3]])
    again = Dataset(few.write_nnunet(tmp_path / "Dataset004_Hippocampus"))
    assert again.labels == few.labels
    assert again.name == "Hippocampus"
    for case in few:
        label, written = case.read_label(), again[case.id].read_label()
        assert label is not None
        assert written is not None
        assert (label.data == written.data).all()
        assert (case.read_image().data == again[case.id].read_image().data).all()


def test_labels_given_by_the_user_are_written(make_nnunet: Make, tmp_path: Path) -> None:
    labels = Labels.from_nnunet({"background": 0, "spine": [1, 2], "disc": 2})
    described = about(Dataset(make_nnunet(), labels=labels).write_nnunet(tmp_path / "out"))
    assert described["labels"] == {"background": 0, "spine": [1, 2], "disc": 2}
