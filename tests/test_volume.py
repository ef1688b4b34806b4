"""The one geometry convention: voxel index to RAS+ millimetres."""

from __future__ import annotations

import numpy as np
import pytest

from voxloom.errors import BadInput
from voxloom.volume import Volume, grid_distance, orientation_of, spacing_of

AFFINE = np.array([[0, -2.0, 0, 10], [1, 0, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1]])


def test_what_a_volume_says_of_itself() -> None:
    v = Volume(np.zeros((2, 4, 5, 6)), AFFINE)
    assert (v.channels, v.shape) == (2, (4, 5, 6))
    assert v.spacing == (1, 2, 3)
    assert v.orientation == "ALS"


def test_geometry_cannot_be_changed_behind_its_back() -> None:
    source = AFFINE.copy()
    v = Volume(np.zeros((1, 2, 2, 2)), source)
    source[0, 0] = 9
    np.testing.assert_array_equal(v.affine, AFFINE)
    with pytest.raises(ValueError, match="read-only"):
        v.affine[0, 0] = 9


@pytest.mark.parametrize("shape", [(4, 5, 6), (1, 1, 4, 5, 6)])
def test_refuses_other_dimensions(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match=r"expected data of shape \(C, I, J, K\)"):
        Volume(np.zeros(shape), np.eye(4))


@pytest.mark.parametrize(
    ("affine", "reason"),
    [
        (np.diag([1, 0, 1, 1]), r"cannot be inverted \(a voxel axis has no length\)"),
        (np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), r"cannot be inverted \(its voxel axes"),
        (np.diag([1, np.nan, 1, 1]), "not a finite 4x4 matrix"),
        (np.eye(3), "not a finite 4x4 matrix"),
    ],
)
def test_refuses_an_affine_that_is_none(affine: np.ndarray, reason: str) -> None:
    with pytest.raises(BadInput, match=f"scan.nii: the affine .*{reason}|scan.nii: the affine is {reason}"):
        Volume(np.zeros((1, 2, 2, 2)), affine, {"source": "scan.nii"})


def test_very_small_voxels_are_fine() -> None:
    assert Volume(np.zeros((1, 2, 2, 2)), np.diag([5e-4, 5e-4, 5e-4, 1])).spacing == (5e-4, 5e-4, 5e-4)


def test_same_grid_looks_at_every_corner() -> None:
    v = Volume(np.zeros((1, 100, 100, 100)), np.eye(4))
    turned = np.eye(4)
    turned[0, 1] = 1e-4
    other = Volume(np.zeros((3, 100, 100, 100)), turned)
    assert v.same_grid(v.with_data(v.data[..., :]))
    assert not v.same_grid(other)
    assert v.same_grid(other, tolerance_mm=0.01)
    assert not v.same_grid(Volume(np.zeros((1, 100, 100, 99)), np.eye(4)))
    assert grid_distance(v.affine, turned, (100, 100, 100)) == pytest.approx(99e-4)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR", "SAL"])
def test_orientation(codes: str) -> None:
    axes = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    affine = np.zeros((4, 4))
    for column, code in enumerate(codes):
        row, sign = axes[code]
        affine[row, column] = 2.0 * sign
    affine[3, 3] = 1
    assert orientation_of(affine) == codes
    assert spacing_of(affine) == (2, 2, 2)
