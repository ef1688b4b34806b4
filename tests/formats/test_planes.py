"""Voxels turned into planes: the same numbers, whatever the layout in memory."""

from __future__ import annotations

import numpy as np
import pytest

from voxloom.formats.planes import planes_of


@pytest.mark.parametrize("shape", [(300, 5, 7), (1, 1, 1), (128, 3, 1), (5, 0, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.bool_])
def test_planes_are_the_voxels_in_another_order(shape: tuple[int, int, int], dtype: type) -> None:
    voxels = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    for laid_out in (
        voxels,
        np.asfortranarray(voxels),
        voxels[::-1],
        voxels.transpose(0, 2, 1).copy().transpose(0, 2, 1),
    ):
        planes = planes_of(laid_out)
        assert planes.flags.c_contiguous
        assert planes.dtype == dtype
        np.testing.assert_array_equal(planes, laid_out.T)


def test_what_lies_so_already_is_not_copied() -> None:
    stored = np.arange(24).reshape(2, 3, 4)
    assert planes_of(stored.T) is not stored
    assert np.shares_memory(planes_of(stored.T), stored)
