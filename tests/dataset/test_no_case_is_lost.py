"""Every file and folder of a data set is taken, or told."""

from __future__ import annotations

import json
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from voxloom.dataset import Dataset
from voxloom.errors import BadInput

Make = Any
ONE = {"channel_names": {"0": "MR"}}


@pytest.fixture
def one(make_nnunet: Make) -> Path:
    """A set of one channel with cases a, b, c."""
    root: Path = make_nnunet(about=ONE)
    for case in "abc":
        (root / "imagesTr" / f"{case}_0001.nii.gz").unlink()
    return root


def ids(root: Path) -> list[str]:
    """Ids of all cases."""
    return [case.id for case in Dataset(root)]


def test_numbers_that_are_names(one: Path, nifti: Make) -> None:
    for n, case in enumerate("abc"):
        (one / "imagesTr" / f"{case}_0000.nii.gz").rename(one / "imagesTr" / f"amos_{n:04d}.nii.gz")
        (one / "labelsTr" / f"{case}.nii.gz").rename(one / "labelsTr" / f"amos_{n:04d}.nii.gz")
    for n in (7, 600):
        nifti(one / "imagesTs" / f"amos_{n:04d}.nii.gz", 7)
    found = ["amos_0000", "amos_0001", "amos_0002", "amos_0007", "amos_0600"]
    assert ids(one) == found
    (one / "dataset.json").unlink()
    assert ids(one) == found


def test_endings_in_any_case_and_mixed(one: Path, nifti: Make) -> None:
    nifti(one / "imagesTs" / "p_0000.nii", 7)
    shutil.copy(one / "imagesTr" / "a_0000.nii.gz", one / "imagesTs" / "q_0000.NII.GZ")
    data = Dataset(one)
    assert [case.id for case in data.test] == ["p", "q"]
    assert data["q"].read_image().shape == (6, 5, 4)
    assert data.notes == ("imagesTs: taken, though another ending than .nii.gz is declared: p_0000.nii",)
    nifti(one / "imagesTs" / "q_0000.nii", 7)
    data = Dataset(one)
    assert str(data["q"].images["MR"]).endswith("q_0000.NII.GZ")
    assert "imagesTs: left out, beside other images: q_0000.nii" in data.notes


def test_clutter_previews_and_strange_things_beside_images(one: Path, picture: Make, text: Make, nifti: Make) -> None:
    images = one / "imagesTr"
    text(images / "._a_0000.nii.gz", "AppleDouble")
    for name in (".DS_Store", "Thumbs.db", "__MACOSX/a_0000.nii.gz"):
        text(images / name, "x")
    assert Dataset(one).notes == ()
    picture(images / "a.png", np.zeros((4, 4)))
    text(images / "notes.txt", "words")
    nifti(images / "more" / "d_0000.nii.gz", 7)
    data = Dataset(one)
    assert ids(one) == ["a", "b", "c"]
    assert set(data.notes) == {
        "imagesTr: left out, beside other images: a.png",
        "imagesTr: left out, not images by their ending: notes.txt",
        "imagesTr: subfolders that were not entered, as they hold images but no DICOM series: more",
    }


def test_dead_links_and_accents(one: Path, nifti: Make) -> None:
    nifti(one / "imagesTr" / f"{unicodedata.normalize('NFD', 'Müller')}_0000.nii.gz", 7)
    nifti(one / "labelsTr" / f"{unicodedata.normalize('NFC', 'Müller')}.nii.gz", 1)
    assert Dataset(one)["Müller"].label is not None
    (one / "imagesTr" / "a_0000.nii.gz").unlink()
    (one / "imagesTr" / "a_0000.nii.gz").symlink_to("nowhere.nii.gz")
    with pytest.raises(BadInput, match=r"a_0000.nii.gz: is a link to nowhere.nii.gz, which is not there"):
        Dataset(one)


def test_a_test_set_alone_and_other_folders(one: Path, nifti: Make) -> None:
    nifti(one / "imagesVa" / "v_0000.nii.gz", 7)
    nifti(one / "labelsVa" / "v.nii.gz", 1)
    assert Dataset(one)["v"].split == "val"
    for kind in ("images", "labels"):
        shutil.rmtree(one / f"{kind}Va")
        (one / f"{kind}Tr").rename(one / f"{kind}Ts")
    assert [case.id for case in Dataset(one).test if case.label is not None] == ["a", "b", "c"]
    (one / "dataset.json").unlink()
    assert len(Dataset(one).test) == 3


def test_an_undeclared_number_of_one_channel_is_named(one: Path, nifti: Make) -> None:
    nifti(one / "imagesTr" / "a_0001.nii.gz", 7)
    with pytest.raises(BadInput, match=r"case a has a_0001.nii.gz, but one channel is declared: 0"):
        Dataset(one)


def test_a_dataset_json_without_training(one: Path) -> None:
    about = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "cord", "2": "disc"}}
    (one / "dataset.json").write_text(json.dumps(about))
    data = Dataset(one)
    assert (data.channels, len(data)) == (("CT",), 3)
    assert data.labels is not None
    assert data.labels.names == ("cord", "disc")
    assert "files from the folders, channels from `modality`" in data.notes[0]


def test_version_1_of_nnunet_and_what_it_does_not_list(one: Path, nifti: Make) -> None:
    listed = [{"image": f"./imagesTr/{c}.nii.gz", "label": f"./labelsTr/{c}.nii.gz"} for c in "ab"]
    about = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "cord"}, "training": listed, "test": []}
    (one / "dataset.json").write_text(json.dumps(about))
    data = Dataset(one)
    assert [case.id for case in data] == ["a", "b"]
    assert data["a"].read_label() is not None
    assert data.notes == ("imagesTr: not in dataset.json, and not taken: c_0000.nii.gz",)
    two = {"modality": {"0": "T1", "1": "T2"}}
    (one / "dataset.json").write_text(json.dumps({**about, **two}))
    with pytest.raises(BadInput, match="file of case a is missing"):
        Dataset(one)
    for case in "ab":
        nifti(one / "imagesTr" / f"{case}_0001.nii.gz", 8)
    (one / "dataset.json").write_text(json.dumps({**about, **two}))
    assert Dataset(one)["b"].read_image().data[:, 0, 0, 0].tolist() == [7, 8]


@pytest.mark.parametrize(
    "names", [("img", "seg"), ("imgs", "segs"), ("image", "label"), ("Images", "Masks"), ("scans", "gt")]
)
def test_folder_pairs_by_many_names(tmp_path: Path, nifti: Make, names: tuple[str, str]) -> None:
    nifti(tmp_path / names[0] / "a.nii.gz", 7)
    nifti(tmp_path / names[0] / "b.nii.gz", 7)
    nifti(tmp_path / names[1] / "a.nii.gz", 2)
    nifti(tmp_path / "predictions" / "a.nii.gz", 2)
    data = Dataset(tmp_path)
    assert (data.channels, [case.id for case in data.training]) == (("image",), ["a"])
    assert data.notes == (
        "folders beside that were not read: predictions",
        "no label for b: read as unlabeled (1 of 2), not trained on",
    )
    nifti(tmp_path / "annotations" / "a.nii.gz", 2)
    with pytest.raises(BadInput, match="annotations/.* could both hold the masks"):
        Dataset(tmp_path)


def test_jpeg_images_with_png_masks(tmp_path: Path, picture: Make) -> None:
    (tmp_path / "images").mkdir()
    values = np.tile(np.arange(0, 240, 40, dtype=np.uint8), (4, 1))
    Image.fromarray(values).save(tmp_path / "images" / "a.jpg", quality=95)
    picture(tmp_path / "masks" / "a.png", values > 100)
    decoded = np.asarray(Image.open(tmp_path / "images" / "a.jpg"))
    case = Dataset(tmp_path)["a"]
    assert (case.read_image().data[0, :, :, 0] == decoded.T).all()
    (tmp_path / "masks" / "a.png").unlink()
    Image.fromarray(values).save(tmp_path / "masks" / "a.jpg")
    with pytest.raises(BadInput, match="is a JPEG, which changes label values"):
        Dataset(tmp_path)["a"].read_label()
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(values).save(tmp_path / "images" / "a.jpg", exif=turned)
    with pytest.raises(BadInput, match=r"stored turned \(EXIF orientation 6\)"):
        Dataset(tmp_path)["a"].read_image()
    Image.new("CMYK", (6, 4)).save(tmp_path / "images" / "a.jpg")
    with pytest.raises(BadInput, match="JPEG with CMYK colors"):
        Dataset(tmp_path)["a"].read_image()
