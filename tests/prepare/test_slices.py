"""Slices: the plane follows the anatomy whatever the file's axes, and neighbors are the right slices in the right order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from voxloom.prepare import PrepareSettings, SliceSettings, SliceStack, plane_orientation, prepare_image
from voxloom.volume import Volume, orientation_of

#: Axis of RAS+ millimeters along which the slices of each plane follow each other.
NORMAL_AXIS = {"sagittal": 0, "coronal": 1, "axial": 2}
ORIENTATIONS = [
    "".join(axes) for signs in itertools.product("RL", "AP", "SI") for axes in itertools.permutations(signs)
]


def tilted(codes: str, angle: float = 0.0) -> np.ndarray:
    """An affine of anisotropic voxels in this orientation, turned out of the axes by ``angle`` radians."""
    affine = np.eye(4)
    for axis, (code, mm) in enumerate(zip(codes, (1.0, 1.5, 3.0), strict=True)):
        world = next(n for n, pair in enumerate(("RL", "AP", "SI")) if code in pair)
        affine[:3, axis] = 0
        affine[world, axis] = mm if code in "RAS" else -mm
    turn = np.eye(4)
    c, s = np.cos(angle), np.sin(angle)
    turn[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return turn @ affine


def test_all_48_orientations_are_tried() -> None:
    assert len(ORIENTATIONS) == 48


@pytest.mark.parametrize("plane", NORMAL_AXIS)
@pytest.mark.parametrize("codes", ORIENTATIONS[::5])
@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_slices_follow_each_other_along_the_normal_of_the_plane(plane: str, codes: str, angle: float) -> None:
    affine = tilted(codes, angle)
    volume = Volume(np.zeros((1, 5, 6, 7), np.float32), affine)
    settings = PrepareSettings(orientation=SliceSettings(plane=plane).orientation("RAS"), normalize="none")
    _, geometry = prepare_image(volume, settings)
    steps = np.abs(geometry.affine[:3, 2])
    assert steps.argmax() == NORMAL_AXIS[plane]
    assert orientation_of(geometry.affine)[2] in ("R", "A", "S")


def test_plane_keeps_directions_and_the_order_of_the_other_axes() -> None:
    assert [plane_orientation("RAS", plane) for plane in NORMAL_AXIS] == ["ASR", "RSA", "RAS"]
    assert plane_orientation("LPS", "sagittal") == "PSL"
    assert plane_orientation("ASR", "sagittal") == "ASR"
    assert SliceSettings().orientation(None) is None


def test_neighbors_are_channels_from_the_lowest_slice_to_the_highest() -> None:
    image = np.arange(2 * 3 * 2 * 5, dtype=np.float32).reshape(2, 3, 2, 5)
    stack = SliceStack(1)
    channels = stack.fold(image[..., 1:4])
    assert channels.shape == (6, 3, 2, 1)
    for c, k in itertools.product(range(2), range(3)):
        np.testing.assert_array_equal(channels[3 * c + k, ..., 0], image[c, ..., 1 + k])


@pytest.mark.parametrize(("edges", "outside"), [("zero", 0.0), ("replicate", 7.0)])
def test_edges_are_zeros_or_the_outer_slice_again(edges: str, outside: float) -> None:
    wide = SliceStack(2, edges).widen(np.full((1, 2, 2, 3), 7, np.float32))
    assert wide.shape == (1, 2, 2, 7)
    np.testing.assert_array_equal(wide[0, 0, 0], [outside, outside, 7, 7, 7, outside, outside])
