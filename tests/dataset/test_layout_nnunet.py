"""nnU-Net v2 raw: names, channels, labels, splits, and what is refused."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom.dataset import Dataset, Labels
from voxloom.errors import BadInput

Make = Any


def test_two_channels_are_read_in_the_declared_order(make_nnunet: Make) -> None:
    data = Dataset(make_nnunet())
    assert (data.name, data.layout, data.task, len(data)) == ("T", "nnU-Net", "segmentation", 3)
    assert data.channels == ("T1", "CT")
    assert data.channel_kinds == ("zscore", "CT")
    image = data["a"].read_image()
    assert image.data.shape == (2, 6, 5, 4)
    assert image.data[:, 0, 0, 0].tolist() == [7, 8]
    assert image.spacing == pytest.approx((2, 1, 1))
    label = data["b"].read_label()
    assert label is not None
    assert label.data.shape == (1, 6, 5, 4)
    assert label.data.max() == 2
    assert [p.name for p in data["a"].source_files] == ["a_0000.nii.gz", "a_0001.nii.gz", "a.nii.gz"]
    assert data.labels is not None
    assert data.labels.names == ("cord", "disc")


def test_regions_ignore_and_their_order_are_read(make_nnunet: Make) -> None:
    declared = {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}
    labels = Dataset(make_nnunet(about={"labels": declared, "regions_class_order": [1, 2]})).labels
    assert labels is not None
    assert labels.has_regions
    assert labels.ignore == 3
    assert labels.regions_order == (1, 2)


def test_test_cases_with_and_without_label(make_nnunet: Make, nifti: Make) -> None:
    root = make_nnunet()
    for case in ("x", "y"):
        nifti(root / "imagesTs" / f"{case}_0000.nii.gz", 7)
        nifti(root / "imagesTs" / f"{case}_0001.nii.gz", 8)
    assert [c.id for c in Dataset(root).test] == ["x", "y"]
    nifti(root / "labelsTs" / "x.nii.gz", 1)
    data = Dataset(root)
    assert [c.id for c in data.training] == ["a", "b", "c"]
    assert data["x"].label is not None
    assert data["y"].label is None


def test_without_dataset_json_channels_and_values_are_found(make_nnunet: Make) -> None:
    root = make_nnunet(values={"a": 5, "b": 207})
    (root / "dataset.json").unlink()
    data = Dataset(root)
    assert data.channels == ("channel_0", "channel_1")
    assert "no dataset.json" in data.summary()
    half = pickle.loads(pickle.dumps(data)).subset(["a"])
    assert half.labels is not None
    assert half.labels.atoms == (5, 207)
    given = Labels.from_nnunet({"background": 0, "cord": 5, "disc": 207})
    assert Dataset(root, labels=given).labels == given


def test_the_mapping_named_dataset_is_followed(make_nnunet: Make, tmp_path: Path) -> None:
    root = make_nnunet()
    shutil.move(str(root / "imagesTr"), tmp_path / "elsewhere")
    entry = {"images": ["../elsewhere/a_0000.nii.gz", "../elsewhere/b_0001.nii.gz"], "label": "labelsTr/a.nii.gz"}
    about = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({**about, "dataset": {"p1": entry}}))
    data = Dataset(root)
    assert [case.id for case in data] == ["p1"]
    assert data["p1"].read_image().channels == 2
    entry["images"][1] = "../elsewhere/none.nii.gz"
    (root / "dataset.json").write_text(json.dumps({**about, "dataset": {"p1": entry}}))
    with pytest.raises(BadInput, match="p1 is missing"):
        Dataset(root)


def test_participants_are_joined_on_the_case(make_nnunet: Make, text: Make) -> None:
    root = make_nnunet()
    text(root / "participants.csv", "case,patient,group,age,sex\na,p1,GE,61.5,F\nb,p1,GE,,M\nzz,p3,GE,3,F\n")
    data = Dataset(root)
    assert data["a"].patient == data["b"].patient == "p1"
    assert data["c"].patient == "c"
    assert data["a"].group == "GE"
    assert data["a"].attributes == {"age": 61.5, "sex": "F"}
    assert data["b"].attributes == {"sex": "M"}
    assert "no row for c" in data.summary()
    assert "zz" in data.summary()


def test_images_without_label_are_read_as_unlabeled_and_named(make_nnunet: Make) -> None:
    root = make_nnunet()
    (root / "labelsTr" / "b.nii.gz").unlink()
    data = Dataset(root)
    assert [case.id for case in data] == ["a", "b", "c"]
    assert [case.id for case in data.training] == ["a", "c"]
    assert data.notes == ("no label for b: read as unlabeled (1 of 3), not trained on",)


def test_labels_without_image_are_named(make_nnunet: Make, nifti: Make) -> None:
    root = make_nnunet()
    nifti(root / "labelsTr" / "lonely.nii.gz", 1)
    with pytest.raises(BadInput, match="no image for the label of lonely"):
        Dataset(root)


def test_a_case_may_lack_a_channel_that_others_have(make_nnunet: Make) -> None:
    root = make_nnunet()
    (root / "imagesTr" / "c_0001.nii.gz").unlink()
    assert [case.missing for case in Dataset(root)] == [(), (), (1,)]
    for case in "ab":
        (root / "imagesTr" / f"{case}_0001.nii.gz").unlink()
    with pytest.raises(BadInput, match=r"no case has a file for channel 1 \(CT\)"):
        Dataset(root)


def test_an_undeclared_channel_file_is_named(make_nnunet: Make, nifti: Make) -> None:
    root = make_nnunet()
    nifti(root / "imagesTr" / "a_0002.nii.gz", 1)
    with pytest.raises(BadInput, match=r"a_0002.nii.gz, but 2 channels"):
        Dataset(root)


def test_a_case_in_training_and_test_is_refused(make_nnunet: Make, nifti: Make) -> None:
    root = make_nnunet()
    nifti(root / "imagesTs" / "a_0000.nii.gz", 1)
    with pytest.raises(BadInput, match="at once: a"):
        Dataset(root)


def test_channels_on_different_grids_are_refused_with_the_difference(make_nnunet: Make, nifti: Make) -> None:
    root = make_nnunet()
    nifti(root / "imagesTr" / "a_0001.nii.gz", 1, affine=np.diag([-2.0, 1.0, 1.0, 1.0]))
    with pytest.raises(BadInput, match=r"CT and T1 of case a.*20 mm apart.*orientation LAS against RAS"):
        Dataset(root)["a"].read_image()
    nifti(root / "labelsTr" / "b.nii.gz", np.zeros((6, 5, 3), np.uint8))
    with pytest.raises(BadInput, match=r"case b.*shape 6 x 5 x 3 against 6 x 5 x 4"):
        Dataset(root)["b"].read_label()


def test_a_key_that_means_nothing_is_told(make_nnunet: Make) -> None:
    root = make_nnunet(about={"ignore_label": 255, "description": "x"})
    assert "dataset.json: not read: ignore_label" in Dataset(root).notes


def test_a_half_copied_file_is_refused_when_it_is_read(make_nnunet: Make) -> None:
    root = make_nnunet()
    path = root / "imagesTr" / "a_0000.nii.gz"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(BadInput, match=r"a_0000\.nii\.gz"):
        Dataset(root)["a"].read_image()


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"channel_names": {"1": "T1"}}, "channel_names"),
        ({"channel_names": {}}, "channel_names"),
        ({"labels": {"background": 0, "cord": 0}}, "dataset.json: value 0 means both"),
        ({"labels": {"background": 0, "cord": 1, "canal": 1}}, "dataset.json: value 1 means both cord and canal"),
        ({"labels": [1, 2]}, "`labels` is"),
        ({"file_ending": 5}, "`file_ending` is 5"),
        ({"channel_names": None, "modality": 7}, "channel_names"),
    ],
)
def test_a_dataset_json_that_makes_no_sense_is_refused(make_nnunet: Make, about: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        Dataset(make_nnunet(about=about))


def test_broken_json_is_refused(make_nnunet: Make) -> None:
    root = make_nnunet()
    (root / "dataset.json").write_text("{")
    with pytest.raises(BadInput, match="not valid JSON"):
        Dataset(root)


def test_real_heads(data_dir: Path) -> None:
    data = Dataset(data_dir / "heads")
    assert len(data) == 18
    assert data.channels == ("image",)
    assert data["head01"].attributes == {"age": 82.3, "sex": "M"}
    image, label = data["head01"].read_image(), data["head01"].read_label()
    assert image.orientation == "LPS"
    assert label is not None
    assert label.same_grid(image)
    few = Dataset.from_cases("few", data.cases[:2], data.channels)
    labels = few.labels
    assert labels is not None
    assert max(labels.atoms) == 207
    assert labels.count > 100
    outer = label.data
    assert (labels.decode(labels.encode(outer)) == outer).all()


def test_real_lumbar(data_dir: Path) -> None:
    data = Dataset(data_dir / "lumbar-mr")
    assert len(data) == 32
    assert data.labels is not None
    assert data.labels.names == ("L5", "L4", "L3", "L2", "L1")
    assert data[0].read_image().data.shape == (1, 20, 112, 112)
