"""Every slice is the middle of a slab, ends are padded with zeros, and windows merge to what the whole slice gives."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from voxloom.inference import Windowing
from voxloom.inference.slabs import predict_slabs


def differences(slabs: Tensor) -> Tensor:
    """Two maps: the slice before, and the slice behind the middle one."""
    return torch.cat([slabs[..., :1], slabs[..., 2:]], dim=1)


def test_slices_see_their_neighbors_and_zeros_beyond_the_ends() -> None:
    image = np.random.default_rng(0).normal(size=(1, 6, 5, 4)).astype(np.float32)
    found = predict_slabs([differences], image, lambda x: x, Windowing((6, 5, 3), batch=3))
    np.testing.assert_array_equal(found[0][..., 1:], image[0][..., :-1])
    np.testing.assert_array_equal(found[1][..., :-1], image[0][..., 1:])
    assert not found[0][..., 0].any()
    assert not found[1][..., -1].any()


def test_overlapping_windows_are_merged() -> None:
    image = np.random.default_rng(0).normal(size=(1, 23, 19, 3)).astype(np.float32)
    whole = predict_slabs([differences], image, torch.sigmoid, Windowing((64, 64, 3)))
    tiled = predict_slabs([differences], image, torch.sigmoid, Windowing((14, 12, 3), overlap=0.25, batch=2))
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_networks_are_averaged() -> None:
    image = np.ones((1, 4, 4, 2), np.float32)
    found = predict_slabs([differences, lambda x: 3 * differences(x)], image, lambda x: x, Windowing((4, 4, 3)))
    assert found[0, 0, 0, 1] == 2
