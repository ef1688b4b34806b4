"""BIDS derivatives, tables, folder pairs and MedMNIST."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom.dataset import Dataset
from voxloom.errors import BadInput

Make = Any


@pytest.fixture
def bids(tmp_path: Path, nifti: Make, text: Make) -> Path:
    """A raw BIDS set of two subjects, one with two sessions, and a derivative with label maps."""
    raw, made = tmp_path / "raw", tmp_path / "raw" / "derivatives" / "manual"
    for sub, ses in (("01", "a"), ("01", "b"), ("02", "a")):
        stem = f"sub-{sub}/ses-{ses}/anat/sub-{sub}_ses-{ses}"
        nifti(raw / f"{stem}_T1w.nii.gz", 7)
        nifti(raw / f"{stem}_T2w.nii.gz", 8)
        nifti(made / f"{stem}_dseg.nii.gz", 40)
    nifti(raw / "sub-02/ses-a/anat/sub-02_ses-a_FLAIR.nii.gz", 9)
    text(raw / "participants.tsv", "participant_id\tage\tgroup\nsub-01\t40\tpatient\nsub-02\tn/a\tcontrol\n")
    text(made / "dseg.tsv", "index\tname\n0\tbackground\n40\tcord\n")
    text(made / "dataset_description.json", json.dumps({"Name": "Manual", "DatasetType": "derivative"}))
    return made


def test_a_bids_derivative_finds_images_labels_and_participants(bids: Path) -> None:
    data = Dataset(bids)
    assert (data.name, data.layout, data.channels) == ("Manual", "BIDS", ("T1w", "T2w"))
    assert [c.id for c in data] == ["sub-01_ses-a", "sub-01_ses-b", "sub-02_ses-a"]
    assert [c.patient for c in data] == ["sub-01", "sub-01", "sub-02"]
    assert data[0].attributes == {"age": 40}
    assert data[2].attributes == {}
    assert data[2].group == "control"
    assert data.labels is not None
    assert data.labels.to_nnunet() == {"background": 0, "cord": 40}
    label = data[1].read_label()
    assert label is not None
    assert label.data.max() == 40
    assert data[1].read_image().channels == 2
    assert "FLAIR (1 of 3 cases)" in data.summary()


def test_a_raw_bids_set_finds_its_derivative(bids: Path) -> None:
    (bids / "sub-02/ses-a/anat/sub-02_ses-a_dseg.nii.gz").unlink()
    data = Dataset(bids.parent.parent)
    assert (len(data), len(data.training)) == (3, 2)
    assert "no label for sub-02_ses-a: read as unlabeled" in data.summary()


def test_bids_masks_and_probability_maps(bids: Path, nifti: Make) -> None:
    for path in bids.rglob("*_dseg.nii.gz"):
        first, second = np.zeros((2, 6, 5, 4), np.float32)
        first[:2], second[3:], second[:1] = 0.9, 0.8, 0.1
        nifti(Path(str(path).replace("_dseg", "_label-cord_probseg")), first)
        nifti(Path(str(path).replace("_dseg", "_label-disc_probseg")), second)
        path.unlink()
    data = Dataset(bids)
    assert data.labels is not None
    assert data.labels.names == ("cord", "disc")
    label = data[0].read_label()
    assert label is not None
    assert label.data[0, :, 0, 0].tolist() == [1, 1, 0, 2, 2, 2]
    path = bids / "sub-01/ses-a/anat/sub-01_ses-a_label-disc_probseg.nii.gz"
    nifti(path, np.ones((6, 5, 4), np.float32))
    with pytest.raises(BadInput, match="overlaps another mask"):
        data[0].read_label()
    path.unlink()
    with pytest.raises(BadInput, match="no mask for disc"):
        Dataset(bids)


def test_bids_labels_without_image_or_channel_in_common(bids: Path) -> None:
    raw = bids.parent.parent
    for path in raw.glob("sub-02/ses-a/anat/*_T?w.nii.gz"):
        path.unlink()
    with pytest.raises(BadInput, match="no image type is there for every case"):
        Dataset(bids)
    (raw / "sub-02/ses-a/anat/sub-02_ses-a_FLAIR.nii.gz").unlink()
    with pytest.raises(BadInput, match="no image for the label of sub-02_ses-a"):
        Dataset(bids)


@pytest.fixture
def files(tmp_path: Path, nifti: Make) -> Path:
    """Loose files for tables."""
    for case in ("a", "b"):
        nifti(tmp_path / "scans" / f"{case}_t1.nii.gz", 7)
        nifti(tmp_path / "scans" / f"{case}_t2.nii.gz", 8)
        nifti(tmp_path / "scans" / f"{case}_mask.nii.gz", 3)
    return tmp_path


TABLE = (
    "case,image_T1,image_T2,label,patient,group,split,age\n"
    "a,scans/a_t1.nii.gz,scans/a_t2.nii.gz,scans/a_mask.nii.gz,p1,GE,train,61\n"
    "b,scans/b_t1.nii.gz,scans/b_t2.nii.gz,,p2,Philips,test,\n"
)


def test_a_csv_table_with_channels_label_and_attributes(files: Path, text: Make) -> None:
    path = text(files / "study.csv", TABLE)
    data = Dataset(path)
    assert (data.name, data.layout, data.channels) == ("study", "table", ("T1", "T2"))
    assert data["a"].attributes == {"age": 61}
    assert data["a"].group == "GE"
    assert data["a"].patient == "p1"
    assert data["b"].split == "test"
    assert data["b"].label is None
    assert data["b"].attributes == {}
    assert data["a"].read_image().data[:, 0, 0, 0].tolist() == [7, 8]
    assert data.labels is not None
    assert data.labels.atoms == (3,)
    assert "p1" not in data.summary()
    assert "GE: 1, Philips: 1" in data.summary()


def test_semicolons_channel_columns_and_targets(files: Path, text: Make) -> None:
    rows = "id;T1;score\na;scans/a_t1.nii.gz;1.5\nb;scans\\b_t1.nii.gz;2\n"
    data = Dataset(text(files / "cases.csv", rows.replace("score", "target")).parent)
    assert data.channels == ("T1",)
    assert data.task == "regression"
    assert data["a"].target == 1.5
    assert (
        Dataset(text(files / "cases.csv", rows.replace("score", "target").replace("1.5", "x"))).task == "classification"
    )
    assert Dataset(text(files / "cases.csv", rows)).task == "unlabeled"


def test_a_parquet_table(files: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"image": ["scans/a_t1.nii.gz", "scans/b_t1.nii.gz"], "target": ["yes", None], "age": [1.5, float("nan")]}
    pq.write_table(pa.table(columns), files / "t.parquet")
    data = Dataset(files / "t.parquet")
    assert [c.id for c in data] == ["a_t1", "b_t1"]
    assert data[0].target == "yes"
    assert data[1].attributes == {}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("case,label\na,scans/a_mask.nii.gz\n", "no column of images"),
        ("case,image\n", "no rows"),
        ("case,image\na,scans/none.nii.gz\n", "file of case a is missing"),
        (
            "case,image_T1,image_T2,label\na,,,scans/a_mask.nii.gz\nb,scans/b_t1.nii.gz,scans/b_t2.nii.gz,scans/a_mask.nii.gz\n",
            "case a has no file",
        ),
        ("case,image\na,scans/a_t1.nii.gz\na,scans/b_t1.nii.gz\n", "used twice: a"),
        ("case,image,label\na,scans/a_t1.nii.gz,1\n", "`target`"),
        ("case,image,split\na,scans/a_t1.nii.gz,maybe\n", "split 'maybe'"),
        ("case,case,image\na,a,scans/a_t1.nii.gz\n", "two columns"),
        ("case,image\na,scans/a_t1.nii.gz,oops\n", "row 2 has 3 cells"),
        ("case,image,label\na,scans/a_t1.nii.gz,scans/a_mask.nii.gz\nb,scans/b_t1.nii.gz,\n", "no label for b"),
    ],
)
def test_tables_that_are_refused(files: Path, text: Make, content: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        Dataset(text(files / "t.csv", content))


@pytest.fixture
def pair(tmp_path: Path, picture: Make) -> Path:
    """images/ and masks/ of gray pictures, masks with 255."""
    root = tmp_path / "pair"
    for n, case in enumerate(("a", "b")):
        picture(root / "images" / f"{case}.png", np.full((4, 6), n))
        picture(root / "masks" / f"{case}.png", np.eye(4, 6) * 255)
    return root


def test_pictures_with_a_mask_of_255(pair: Path, text: Make) -> None:
    text(pair / "frames.csv", "file,patient,group\na.png,p1,HF\nb.png,p1,N\n")
    data = Dataset(pair)
    assert data.layout == "folder pair"
    assert data.channels == ("image",)
    assert data["a"].patient == data["b"].patient == "p1"
    assert data["b"].group == "N"
    assert data["b"].read_image().data.shape == (1, 6, 4, 1)
    label = data["a"].read_label()
    assert label is not None
    assert label.data[0, 2, 2, 0] == 255
    assert label.data[0, 5, 0, 0] == 0
    assert data.labels is not None
    assert data.labels.atoms == (255,)


def test_mask_names_with_an_ending_and_color(pair: Path, picture: Make) -> None:
    (pair / "masks" / "a.png").rename(pair / "masks" / "a_mask.png")
    for case in "ab":
        picture(pair / "images" / f"{case}.png", np.arange(4 * 6 * 3).reshape(4, 6, 3))
    data = Dataset(pair)
    assert data.channels == ("red", "green", "blue")
    assert set(data.channel_kinds) == {"rgb_to_0_1"}
    image = data["a"].read_image()
    assert image.data.shape == (3, 6, 4, 1)
    assert image.data[:, 1, 0, 0].tolist() == [3, 4, 5]


def test_a_folder_pair_of_volumes(tmp_path: Path, nifti: Make) -> None:
    nifti(tmp_path / "images" / "a.nii.gz", 7)
    nifti(tmp_path / "labels" / "a.nii.gz", 2)
    data = Dataset(tmp_path)
    assert data["a"].read_image().shape == (6, 5, 4)
    assert data.labels is not None
    assert data.labels.atoms == (2,)


def test_folder_pairs_that_are_refused(pair: Path, picture: Make, text: Make) -> None:
    text(pair / "list.csv", "file,patient\na.png,p1\na.png,p2\n")
    with pytest.raises(BadInput, match="two rows for a"):
        Dataset(pair)
    (pair / "list.csv").unlink()
    picture(pair / "images" / "a.tif", np.zeros((4, 4)))
    with pytest.raises(BadInput, match="two images for a"):
        Dataset(pair)
    (pair / "images" / "a.tif").unlink()
    (pair / "images" / "b.png").unlink()
    with pytest.raises(BadInput, match="no image for the label of b"):
        Dataset(pair)


def test_empty_masks_everywhere_are_named(pair: Path, picture: Make) -> None:
    for case in "ab":
        picture(pair / "masks" / f"{case}.png", np.zeros((4, 6)))
    with pytest.raises(BadInput, match="every label file is empty"):
        _ = Dataset(pair).labels


@pytest.mark.parametrize("compressed", [True, False])
def test_medmnist_volumes(tmp_path: Path, compressed: bool) -> None:
    images = np.random.default_rng(0).integers(0, 255, (5, 3, 4, 5), dtype=np.uint8)
    save = np.savez_compressed if compressed else np.savez
    classes = np.array([[0], [1], [0], [1], [1]], np.uint8)
    save(tmp_path / "m.npz", train_images=images, train_labels=classes, test_images=images[:2], test_labels=classes[:2])
    data = Dataset(tmp_path)
    assert (data.name, data.layout, data.task) == ("m", "MedMNIST", "classification")
    assert len(data.training) == 5
    assert len(data.test) == 2
    assert data.labels is None
    for n in (3, 0, 4, 1):
        assert (data[n].read_image().data[0] == images[n]).all()
        assert data[n].target == classes[n, 0]
    assert data["test_00001"].target == 1
    assert "no val split" in data.summary()
    with pytest.raises(BadInput, match="nnU-Net needs label maps"):
        data.write_nnunet(tmp_path / "out")


def test_medmnist_pictures_and_findings(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (2, 4, 6, 3), dtype=np.uint8)
    np.savez(tmp_path / "m.npz", train_images=images, train_labels=np.array([[0, 1], [1, 1]]))
    data = Dataset(tmp_path / "m.npz")
    image = data[1].read_image()
    assert data.channels == ("red", "green", "blue")
    assert image.data.shape == (3, 6, 4, 1)
    assert image.data[2, 5, 1, 0] == images[1, 1, 5, 2]
    assert data[0].attributes == {"finding_0": 0, "finding_1": 1}


def test_medmnist_files_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    np.savez(path, other=np.zeros(3))
    with pytest.raises(BadInput, match="none of them train_images"):
        Dataset(path)
    np.savez(path, train_images=np.zeros((3, 4, 4)), train_labels=np.zeros((2, 1)))
    with pytest.raises(BadInput, match="3 items, train_labels 2"):
        Dataset(path)
    np.savez(path, train_images=np.array([{}, {}], dtype=object))
    with pytest.raises(BadInput, match="cannot be read"):
        Dataset(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadInput, match="not a readable"):
        Dataset(path)
    (tmp_path / "n.npz").touch()
    with pytest.raises(BadInput, match=r"2 \.npz files"):
        Dataset(tmp_path)


def test_real_pictures(data_dir: Path) -> None:
    spine = Dataset(data_dir / "spine-2d")
    assert len(spine) == 20
    assert spine[0].read_image().data.shape == (1, 256, 256, 1)
    assert spine.labels is not None
    assert spine.labels.atoms == (1, 2)
    cardiac = Dataset(data_dir / "cardiac-2d")
    assert len(cardiac) == 526
    assert len({c.patient for c in cardiac}) == 30
    assert len({c.group for c in cardiac}) == 4


def test_real_adrenal(data_dir: Path) -> None:
    data = Dataset(data_dir / "adrenal")
    assert [c.split for c in data].count("val") == 98
    assert sum(c.target == 1 for c in data.training) == 281
    assert set(np.unique(data["train_00003"].read_image().data)) == {0, 255}
