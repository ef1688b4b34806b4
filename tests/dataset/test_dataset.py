"""Dataset as a whole: opening, choosing, size, pickling."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from voxloom.dataset import Case, Dataset
from voxloom.errors import BadInput

Make = Any


def test_wrong_paths_are_refused_with_what_was_looked_for(tmp_path: Path, text: Make) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        Dataset(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="the folder is empty"):
        Dataset(tmp_path)
    text(tmp_path / "notes.txt", "hello")
    with pytest.raises(BadInput) as caught:
        Dataset(tmp_path)
    for word in ("nnU-Net", "Decathlon", "BIDS", ".csv", "images/", "MedMNIST"):
        assert word in str(caught.value)
    (tmp_path / "imagesTr").mkdir()
    with pytest.raises(BadInput, match="without a case"):
        Dataset(tmp_path)


def test_choosing_cases(make_nnunet: Make) -> None:
    data = Dataset(make_nnunet())
    assert data[0] is data["a"]
    assert "a" in data
    assert "z" not in data
    assert [c.id for c in data.subset(["c", "a"])] == ["c", "a"]
    assert data.subset(["a"]).labels == data.labels
    with pytest.raises(BadInput, match="there is no case 'z'"):
        data["z"]
    with pytest.raises(BadInput, match="used twice: a"):
        data.subset(["a", "a"])


def test_data_sets_and_cases_are_picklable(make_nnunet: Make) -> None:
    data = Dataset(make_nnunet())
    again = pickle.loads(pickle.dumps(data))
    assert again.cases == data.cases
    assert again.labels == data.labels
    assert again["b"].read_label().data.max() == 2


def test_cases_must_have_the_same_channels() -> None:
    with pytest.raises(BadInput, match="case b has the channels T2, not T1"):
        Dataset.from_cases("x", [Case("a", "a", images={"T1": "a"}), Case("b", "b", images={"T2": "b"})], ["T1"])


def test_ten_thousand_cases_are_opened_without_reading_them(tmp_path: Path) -> None:
    for folder, suffix in (("imagesTr", "_0000"), ("labelsTr", "")):
        (tmp_path / folder).mkdir()
        for n in range(10_000):
            (tmp_path / folder / f"case_{n:05d}{suffix}.nii.gz").touch()
    data = Dataset(tmp_path)
    assert len(data) == 10_000
    assert data["case_00042"].label is not None
    assert len(pickle.dumps(data)) < 10_000 * 500


def test_the_summary_is_read_without_opening_an_image(make_nnunet: Make) -> None:
    root = make_nnunet()
    for path in root.rglob("*.nii.gz"):
        path.write_bytes(b"")
    assert Dataset(root).summary().splitlines() == [
        f"name:       T (nnU-Net, {root})",
        "cases:      3, patients not named, one per case, 3 with a label map",
        "task:       segmentation",
        "channels:   T1 (zscore), CT (CT)",
        "labels:     0 background, 1 cord, 2 disc",
        "splits:     train: 3",
    ]


def test_importing_data_sets_stays_light() -> None:
    code = (
        "import sys, voxloom, voxloom.dataset; assert issubclass(voxloom.Dataset, voxloom.dataset.Dataset); voxloom.__version__;"
        "heavy = {'torch', 'monai', 'scipy', 'pandas', 'SimpleITK', 'pydicom', 'matplotlib'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_names_what_it_does_not_have() -> None:
    import voxloom

    with pytest.raises(AttributeError, match="no attribute 'Datset'"):
        _ = voxloom.Datset
    assert "Dataset" in dir(voxloom)
