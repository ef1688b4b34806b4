"""The short form of the random affines; the long one: ``python -m tests.faults.affines``."""

from __future__ import annotations

import numpy as np

from tests.faults import affines
from tests.faults.affines import blocks, campaign, inside
from voxloom.volume import Volume


def test_every_voxel_stays_where_it_is() -> None:
    assert campaign(40, seed=1) == []


def test_a_moved_voxel_is_found() -> None:
    true = Volume(affines.ALL_DIFFERENT[None], np.diag([-1.0, 1, 2, 1]))
    mirrored = true.with_data(true.data[:, ::-1])
    assert affines._difference(true, true, true, exact=True) is None
    assert "voxels moved" in str(affines._difference(mirrored, true, true, exact=True))
    assert "lies elsewhere" in str(affines._difference(mirrored, mirrored, true, exact=True))
    moved = Volume(true.data, np.diag([-1.0, 1, 2.1, 1]))
    assert "another grid" in str(affines._difference(moved, true, true, exact=True))


def test_blocks_have_insides() -> None:
    labels = blocks(np.random.default_rng(0))
    assert len(np.unique(labels[inside(labels)])) == 8
