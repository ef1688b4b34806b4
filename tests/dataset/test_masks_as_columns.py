"""A mask never becomes an input in silence: columns, folders and BIDS suffixes are understood, or told, or asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom.dataset import Dataset
from voxloom.errors import BadInput

Make = Any
SHAPE = (6, 5, 4)


@pytest.fixture
def root(tmp_path: Path, nifti: Make) -> Path:
    """Two cases: scans t1 and fl, masks seg and other, maps femur and tibia."""
    for n in range(2):
        noise = np.random.default_rng(n).normal(0, 9, (2, *SHAPE)).astype(np.float32)
        nifti(tmp_path / f"t1_{n}.nii.gz", noise[0])
        nifti(tmp_path / f"fl_{n}.nii.gz", noise[1])
        nifti(tmp_path / f"a_{n}.nii.gz", 1)
        nifti(tmp_path / f"b_{n}.nii.gz", np.ones(SHAPE, np.uint8))
        for k, bone in enumerate(("femur", "tibia")):
            one = np.zeros(SHAPE, np.uint8)
            one[:, k] = 255
            nifti(tmp_path / f"{bone}_{n}.nii.gz", one)
    return tmp_path


def opened(root: Path, **columns: str) -> Dataset:
    """A table of two cases; the values are the beginnings of file names."""
    rows = [",".join(f"{stem}_{n}.nii.gz" for stem in columns.values()) for n in range(2)]
    (root / "t.csv").write_text(
        "\n".join(["case," + ",".join(columns), *(f"c{n},{row}" for n, row in enumerate(rows))]) + "\n"
    )
    return Dataset(root / "t.csv")


@pytest.mark.parametrize(
    "name",
    [
        "label",
        "Label",
        "mask",
        "Mask",
        "mask_path",
        "MaskPath",
        "segmentation",
        "seg",
        "Seg",
        "label_file",
        "labels",
        "ground_truth",
        "GT",
        "mask_image",
        "label_map",
        "t1_seg",
    ],
)
def test_the_usual_names_of_a_label_map(root: Path, name: str) -> None:
    data = opened(root, t1="t1", flair="fl", **{name: "a"})
    assert data.channels == ("t1", "flair")
    label = data[0].read_label()
    assert label is not None
    assert label.data.max() == 1
    assert f"{name}: label map" in data.summary()


@pytest.mark.parametrize(
    "other", ["label_rater2", "pred", "Mask", "prediction", "seg_auto", "mask2", "manual_mask", "label_femur"]
)
def test_masks_beside_the_label_are_told_and_never_inputs(root: Path, other: str) -> None:
    data = opened(root, t1="t1", label="a", **{other: "b"})
    assert data.channels == ("t1",)
    assert data[0].label == str(root / "a_0.nii.gz")
    assert any(other in note and "used only where a recipe crops around it" in note for note in data.notes)


def test_one_map_per_structure_becomes_labels(root: Path) -> None:
    for names in ({"label_femur": "femur", "label_tibia": "tibia"}, {"FemurMask": "femur", "TibiaMask": "tibia"}):
        data = opened(root, t1="t1", **names)
        assert data.channels == ("t1",)
        assert data.labels is not None
        assert [name.lower() for name in data.labels.names] == ["femur", "tibia"]
        label = data[1].read_label()
        assert label is not None
        assert label.data[0, 0, :3, 0].tolist() == [1, 2, 0]
    (root / "t.csv").write_text(
        "case,t1,label_femur,label_tibia\nc0,t1_0.nii.gz,femur_0.nii.gz,\nc1,t1_1.nii.gz,,tibia_1.nii.gz\n"
    )
    with pytest.raises(BadInput, match="no map of tibia"):
        Dataset(root / "t.csv")


@pytest.mark.parametrize(
    "names",
    [
        ("label_rater1", "label_rater2"),
        ("Mask", "Label"),
        ("seg", "segmentation"),
        ("label_1", "label_2"),
        ("label_femur", "label_manual"),
    ],
)
def test_two_masks_that_could_be_the_label_are_asked_about(root: Path, names: tuple[str, str]) -> None:
    with pytest.raises(BadInput, match=f"{names[0]}.*each could be the label.*Name the right one `label`"):
        opened(root, t1="t1", **dict(zip(names, ("a", "b"), strict=True)))


def test_masks_of_raters_alone_are_no_label_and_told(root: Path) -> None:
    data = opened(root, t1="t1", mask_rater_1="a", mask_rater_2="b")
    assert data.task == "unlabeled"
    assert set(data[0].masks) == {"mask_rater_1", "mask_rater_2"}
    assert "mask_rater_1: a rater's mask: used only where a recipe crops around it" in data.summary()


def test_equal_masks_need_no_question_and_a_lone_prediction_is_no_label(root: Path) -> None:
    assert opened(root, t1="t1", Mask="a", Label="a")[0].label == str(root / "a_0.nii.gz")
    alone = opened(root, t1="t1", pred="a")
    assert alone.task == "unlabeled"
    assert "pred: not used: a predicted mask" in alone.summary()


def test_a_column_of_another_name_is_looked_into(root: Path) -> None:
    with pytest.raises(BadInput, match="may be an input or a mask: it holds only the values 0, 1.*image_brain"):
        opened(root, t1="t1", brain="a")
    assert opened(root, image_t1="t1", image_brain="a").channels == ("t1", "brain")
    assert opened(root, t1="t1", special="fl").channels == ("t1", "special")
    with pytest.raises(BadInput, match="image_mask could be an input or the label"):
        opened(root, image_t1="t1", image_mask="a")


def test_paths_and_capitals_name_the_same_channels(root: Path) -> None:
    assert opened(root, image_path="t1", mask_path="a").channels == ("image",)
    assert opened(root, Image="t1", Label="a").channels == ("image",)
    assert opened(root, t1_path="t1", flair_path="fl", label="a").channels == ("t1", "flair")
    beside = opened(root, image="t1", flair="fl", label="a")
    assert beside.channels == ("image",)
    assert any("flair" in note and "image_flair" in note for note in beside.notes)


def pair(root: Path, nifti: Make, *folders: str) -> Path:
    for folder in folders:
        for n in range(2):
            nifti(root / "set" / folder / f"c{n}.nii.gz", 1 if folder not in ("img", "images", "extra") else 40 + n)
    return root / "set"


def test_folders_of_masks_are_recognized_and_others_told(tmp_path: Path, nifti: Make) -> None:
    data = Dataset(pair(tmp_path, nifti, "img", "seg", "extra"))
    assert data.task == "segmentation"
    assert data[0].label == str(tmp_path / "set" / "seg" / "c0.nii.gz")
    assert "folders beside that were not read: extra" in data.notes
    with pytest.raises(BadInput, match="folders label/ and seg/ could both hold the masks"):
        Dataset(pair(tmp_path, nifti, "label"))
    assert Dataset(pair(tmp_path, nifti, "masks"))[0].label == str(tmp_path / "set" / "masks" / "c0.nii.gz")


def test_masks_among_the_images_are_refused_and_tables_without_key_told(tmp_path: Path, nifti: Make) -> None:
    root = pair(tmp_path, nifti, "images", "masks")
    (root / "notes.csv").write_text("what,when\na,b\n")
    assert any("notes.csv is not read" in note for note in Dataset(root).notes)
    nifti(root / "images" / "c0_seg.nii.gz", 1)
    with pytest.raises(BadInput, match=r"c0_seg.nii.gz is named like the mask of c0.nii.gz"):
        Dataset(root)


def test_bids_masks_of_other_suffixes_are_labels_or_told(tmp_path: Path, nifti: Make) -> None:
    for sub in ("01", "02"):
        stem = tmp_path / f"sub-{sub}" / "anat" / f"sub-{sub}"
        nifti(Path(f"{stem}_T1w.nii.gz"), 7)
        nifti(Path(f"{stem}_label-lesion_roi.nii.gz"), 1)
    data = Dataset(tmp_path)
    assert data.channels == ("T1w",)
    assert data.labels is not None
    assert data.labels.names == ("lesion",)
    for sub in ("01", "02"):
        nifti(tmp_path / f"sub-{sub}" / "anat" / f"sub-{sub}_dseg.nii.gz", 3)
    both = Dataset(tmp_path)
    assert both.channels == ("T1w",)
    assert any("not taken: label-lesion_roi" in note for note in both.notes)
