"""Label maps for the clients: their values, their order, and what a client's own values mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from voxloom.errors import BadInput
from voxloom.formats import read_volume, write_volume
from voxloom.serve.http.monailabel.drawn import values_of
from voxloom.serve.http.monailabel.masks import MaskWish, indices_of, write_mask
from voxloom.serve.run_info import RunLabel
from voxloom.volume import Volume

SMALL = (RunLabel("liver", 3, "#ff0000"), RunLabel("kidney", 7, "#00ff00"))
LARGE = (RunLabel("liver", 300, "#ff0000"), RunLabel("kidney", 7, "#00ff00"))


@pytest.fixture
def prediction(tmp_path: Path) -> Path:
    """A label map with the values 0, 3 and 7, oblique, of unequal sides."""
    data = np.zeros((1, 5, 4, 3), np.uint8)
    data[0, 1, 2, 0], data[0, 4, 0, 2] = 3, 7
    affine = np.array([[-1.6, -1.2, 0, 5], [1.2, -1.6, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]])
    return write_volume(Volume(data, affine), tmp_path / "prediction.nii.gz")


def test_values_are_kept_where_a_byte_holds_them_and_counted_elsewhere() -> None:
    assert indices_of(SMALL) == {"liver": 3, "kidney": 7}
    assert indices_of(LARGE) == {"liver": 1, "kidney": 2}
    assert list(indices_of(SMALL[::-1])) == ["liver", "kidney"], "in the order of their values, as Slicer takes them"


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_mask_keeps_grid_and_values(ending: str, prediction: Path, tmp_path: Path) -> None:
    out = tmp_path / f"mask{ending}"
    assert write_mask(prediction, SMALL, MaskWish(ending), out) == {"liver": 3, "kidney": 7}
    expected, got = read_volume(prediction), read_volume(out)
    assert np.array_equal(got.data, expected.data)
    assert np.allclose(got.affine, expected.affine, atol=1e-5)
    assert got.data.dtype == np.uint8


def test_only_labels_that_are_there_are_named(prediction: Path, tmp_path: Path) -> None:
    volume = read_volume(prediction)
    write_volume(volume.with_data(np.where(volume.data == 3, 0, volume.data)), prediction)
    assert write_mask(prediction, SMALL, MaskWish(), tmp_path / "mask.nii.gz") == {"kidney": 7}
    write_volume(volume.with_data(np.zeros_like(volume.data)), prediction)
    assert write_mask(prediction, SMALL, MaskWish(), tmp_path / "mask.nii.gz") == {}


def test_what_ohif_asks_for_is_raw_bytes_in_the_order_of_itk(prediction: Path, tmp_path: Path) -> None:
    wish = MaskWish.of({"result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": False, "x": 1})
    write_mask(prediction, SMALL, wish, tmp_path / "mask.nrrd")
    head, _, voxels = (tmp_path / "mask.nrrd").read_bytes().partition(b"\n\n")
    assert b"encoding: raw" in head
    assert b"type: unsigned char" in head
    array = sitk.GetArrayFromImage(sitk.ReadImage(str(prediction)))
    assert voxels == array.astype(np.uint8).tobytes()


@pytest.mark.parametrize(
    "params", [{"result_extension": ".exe"}, {"result_extension": "../x.nii"}, {"result_dtype": "object"}]
)
def test_a_format_that_there_is_not_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="there is no result"):
        MaskWish.of(params)


INDICES = {"liver": 3, "kidney": 7}


def info(**places: int) -> list[dict[str, Any]]:
    return [{"name": name, "idx": place} for name, place in places.items()]


@pytest.mark.parametrize(
    ("said", "present", "means"),
    [
        (None, {0, 3, 7}, {3: "liver", 7: "kidney"}),
        ([], {0}, {}),
        (info(kidney=1, liver=2), {0, 1, 2}, {1: "kidney", 2: "liver"}),
        (info(kidney=2, liver=3), {0, 1, 2}, {1: "kidney", 2: "liver"}),
        (info(kidney=2, liver=3), {0, 3}, {3: "liver"}),
        (info(kidney=5, liver=6), {5, 6}, {5: "kidney", 6: "liver"}),
        (info(kidney=5, liver=6), set(), {}),
        ([{"name": "kidney"}], {1}, {1: "kidney"}),
    ],
)
def test_what_a_drawn_value_means(said: Any, present: set[int], means: dict[int, str]) -> None:
    assert values_of(said, INDICES, present) == means


@pytest.mark.parametrize(
    ("said", "present", "told"),
    [
        (None, {5}, "values 5"),
        (info(kidney=2, liver=3), {2}, "does not say which"),
        (info(kidney=1, spleen=2), {1}, "'spleen'"),
        (info(kidney=1, liver=2), {4}, "values 4"),
        ([{"name": "kidney", "idx": 1}, {"name": "kidney", "idx": 2}], {1}, "twice"),
        ([{"name": "kidney", "idx": 1}, {"name": "liver", "idx": 1}], {1}, "twice"),
        ("liver", {1}, "not a list"),
        ([{"idx": 1}], {1}, "not a list"),
        ({"liver": 1}, {1}, "not a list"),
        ([{"name": "kidney", "idx": "x"}], {1}, "not a list"),
    ],
)
def test_what_cannot_be_told_is_refused(said: Any, present: set[int], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        values_of(said, INDICES, present)
