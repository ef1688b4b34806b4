"""Medical Segmentation Decathlon, with MONAI's additions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom.dataset import Dataset, declared_folds
from voxloom.errors import BadInput

Make = Any


def entry(case: str, **more: Any) -> dict[str, Any]:
    return {"image": f"imagesTr/{case}.nii.gz", "label": f"labelsTr/{case}.nii.gz", **more}


def test_training_and_test_are_read(make_msd: Make) -> None:
    data = Dataset(make_msd())
    assert (data.name, data.layout, data.channels) == ("Toy", "MSD", ("MRI",))
    assert [c.id for c in data.training] == ["a", "b", "c"]
    assert [c.id for c in data.test] == ["t"]
    assert data["t"].label is None
    assert data["a"].read_image().data.max() == 7
    assert data.labels is not None
    assert data.labels.names == ("cord",)


def test_monai_folds_and_validation(make_msd: Make) -> None:
    root = make_msd({"training": [entry("a", fold=0), entry("b", fold=1), entry("c", fold=0)]})
    folds = declared_folds(Dataset(root))
    assert folds is not None
    assert [f.val for f in folds] == [("a", "c"), ("b",)]
    data = Dataset(make_msd({"training": [entry("a"), entry("b")], "validation": [entry("c")]}))
    assert data["c"].split == "val"
    folds = declared_folds(data)
    assert folds is not None
    assert [(f.train, f.val) for f in folds] == [(("a", "b"), ("c",))]
    assert declared_folds(data.subset(["a", "b"])) is None


def test_several_modalities_in_one_file(make_msd: Make, nifti: Make) -> None:
    root = make_msd({"modality": {"0": "FLAIR", "1": "T1w", "2": "CT"}, "test": []})
    voxels = np.arange(6 * 5 * 4 * 3, dtype=np.int16).reshape(6, 5, 4, 3)
    for case in "abc":
        nifti(root / "imagesTr" / f"{case}.nii.gz", voxels)
    data = Dataset(root)
    assert data.channels == ("FLAIR", "T1w", "CT")
    assert data.channel_kinds == ("zscore", "zscore", "CT")
    assert (data["a"].read_image().data == voxels.transpose(3, 0, 1, 2)).all()
    assert data["a"].read_label() is not None
    assert len(data["a"].source_files) == 2
    nifti(root / "imagesTr" / "b.nii.gz", voxels[..., :2])
    with pytest.raises(BadInput, match="2 channels, channel 2 is needed"):
        data["b"].read_image()


def test_one_file_per_modality(make_msd: Make) -> None:
    files = ["imagesTr/a.nii.gz", "imagesTr/b.nii.gz"]
    about = {"modality": {"0": "T1", "1": "T2"}, "test": []}
    data = Dataset(make_msd({**about, "training": [{"image": files, "label": "labelsTr/a.nii.gz"}]}))
    assert data["a"].read_image().channels == 2
    with pytest.raises(BadInput, match="3 files for 2 modalities"):
        Dataset(make_msd({**about, "training": [{"image": [*files, files[0]]}]}))


def test_sparse_labels_and_ignore(make_msd: Make) -> None:
    labels = Dataset(make_msd({"labels": {"0": "background", "7": "cord", "255": "ignore"}})).labels
    assert labels is not None
    assert labels.atoms == (7,)
    assert labels.ignore == 255


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"training": [entry("nowhere")]}, "file of case nowhere is missing"),
        ({"training": [entry("a"), entry("a")]}, "case a is listed twice"),
        ({"training": [{"label": "labelsTr/a.nii.gz"}]}, "no image"),
        ({"training": {"a": 1}}, "not a list"),
        ({"modality": 3}, "modality"),
        ({"labels": {"0": "background", "1": "a", "2": "a"}}, "unique"),
    ],
)
def test_what_is_refused(make_msd: Make, about: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        Dataset(make_msd(about))


def test_real_hippocampus(data_dir: Path) -> None:
    data = Dataset(data_dir / "hippocampus")
    assert (data.name, len(data), len(data.test)) == ("Hippocampus", 200, 0)
    assert data.labels is not None
    assert data.labels.to_nnunet() == {"background": 0, "Anterior": 1, "Posterior": 2}
    case = data["hippocampus_001"]
    image, label = case.read_image(), case.read_label()
    assert label is not None
    assert label.same_grid(image)
    assert set(np.unique(label.data)) == {0, 1, 2}
