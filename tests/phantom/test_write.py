import csv
import json

import numpy as np
import pytest

from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.formats import read_label, read_volume
from voxloom.phantom import KINDS, make_phantom, write_phantoms


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_opens_as_a_dataset(tmp_path, kind):
    folder = write_phantoms(kind, 2, tmp_path / "data", seed=3)
    dataset = Dataset(folder)
    assert len(dataset) == 2
    assert dataset.labels.names == tuple(name for name in KINDS[kind].LABELS if name != "background")
    case = dataset[1]
    image, label = case.read_image(), case.read_label()
    assert image.same_grid(label)
    made = make_phantom(kind, 3, index=1)
    np.testing.assert_array_equal(image.data, made.image.data)
    np.testing.assert_allclose(image.affine, made.image.affine, atol=1e-4)
    assert case.patient == made.attributes["patient"]
    assert case.attributes["age"] == made.attributes["age"]


@pytest.mark.parametrize("kind", ["lumbar-mr", "abdomen-ct"])
def test_dicom_series_lie_on_the_grid_of_the_labels(tmp_path, kind):
    folder = write_phantoms(kind, 1, tmp_path / "data", seed=4, dicom=True)
    case = Dataset(folder)[0]
    image, label = read_volume(folder / "imagesTr" / case.id), read_label(folder / "labelsTr" / f"{case.id}.nii.gz")
    made = make_phantom(kind, 4)
    assert image.same_grid(label)
    np.testing.assert_array_equal(image.data, made.image.data)
    np.testing.assert_allclose(image.affine, made.image.affine, atol=1e-4)
    assert image.meta["modality"] == kind[-2:].upper()
    assert image.meta["patient_id"] == made.attributes["patient"]
    assert image.meta["series_description"] == made.image.meta["series_description"]
    assert case.read_image().same_grid(case.read_label())


def test_points_are_written_in_ras_mm(tmp_path):
    folder = write_phantoms("lumbar-mr", 1, tmp_path / "data", seed=4)
    with (folder / "points" / "lumbar_000.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    expected = make_phantom("lumbar-mr", 4).points
    assert list(rows[0]) == ["case", "name", "side", "x", "y", "z"]
    for row, point in zip(rows, expected, strict=True):
        assert (row["case"], row["name"], row["side"]) == ("lumbar_000", point.name, point.side)
        np.testing.assert_allclose([float(row[a]) for a in "xyz"], point.position, atol=1e-3)


def test_two_views_of_a_knee_are_one_patient(tmp_path):
    dataset = Dataset(write_phantoms("knee-mr", 2, tmp_path / "data"))
    assert [case.attributes["view"] for case in dataset] == ["coronal", "sagittal"]
    assert dataset[0].patient == dataset[1].patient


def test_real_kidney_shapes_keep_their_voxels(tmp_path, data_dir):
    folder = write_phantoms("abdomen-ct", 2, tmp_path / "data", shapes=data_dir / "kidney-shapes")
    assert json.loads((folder / "dataset.json").read_text())["labels"] == {"background": 0, "kidney": 1, "tumor": 2}
    for case in Dataset(folder):
        source = read_label(data_dir / "kidney-shapes" / "labelsTr" / f"{case.id}.nii.gz")
        image, label = case.read_image(), case.read_label()
        np.testing.assert_array_equal(label.data, source.data)
        assert image.same_grid(source)
        organ, air = image.data[0][label.data[0] > 0], image.data[0][0, 0, 0]
        assert 20 < np.median(organ) < 260
        assert air < -900


def test_dicom_of_slices_first_masks_has_its_slices_last(tmp_path, data_dir):
    folder = write_phantoms("abdomen-ct", 1, tmp_path / "data", shapes=data_dir / "kidney-shapes", dicom=True)
    case = Dataset(folder)[0]
    assert case.read_image().same_grid(case.read_label())
    assert case.read_image().spacing[2] == pytest.approx(case.attributes["thickness_mm"], abs=1e-3)


def test_existing_data_and_impossible_wishes_are_refused(tmp_path):
    (tmp_path / "file.txt").write_text("mine")
    with pytest.raises(BadInput, match="not an empty folder"):
        write_phantoms("head-mr", 1, tmp_path)
    with pytest.raises(BadInput, match="at least one"):
        write_phantoms("head-mr", 0, tmp_path / "a")
    with pytest.raises(BadInput, match="holds 0 masks"):
        write_phantoms("abdomen-ct", 1, tmp_path / "a", shapes=tmp_path)
    with pytest.raises(BadInput, match="cannot be made from given shapes"):
        write_phantoms("head-mr", 1, tmp_path / "a", shapes=tmp_path)
    assert not (tmp_path / "a").exists()
