"""Pieces of a mask are numbered whatever its shape."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from voxloom.connected import connected
from voxloom.dataset.labels import Labels
from voxloom.inference.postprocess import keep_largest


@pytest.mark.parametrize("shape", [(1, 3, 1), (1, 1, 6), (6, 1, 1), (4, 1, 5), (4, 5, 3)])
@pytest.mark.parametrize("neighbors", [6, 26])
def test_pieces_are_those_of_scipy(shape: tuple[int, int, int], neighbors: int) -> None:
    random = np.random.default_rng(0)
    structure = ndimage.generate_binary_structure(3, 1 if neighbors == 6 else 3)
    for share in (0.2, 0.5, 0.8):
        for order in (np.ascontiguousarray, np.asfortranarray):
            mask = order(random.random(shape) < share)
            found, (_, count) = connected(mask, neighbors), ndimage.label(mask, structure)  # type: ignore[arg-type]
            assert found.max() == count
            assert np.array_equal(found > 0, mask)


def test_two_voxels_in_a_row_with_a_gap_leave_one() -> None:
    """The bounding box of such a label is one row of voxels, on which cc3d 4.1.1 stops."""
    outer = np.zeros((6, 4, 4), np.uint8)
    outer[[1, 3], 2, 2] = 1
    kept = keep_largest(outer, Labels.from_nnunet({"background": 0, "bone": 1}), ["bone"])
    assert kept.sum() == 1
