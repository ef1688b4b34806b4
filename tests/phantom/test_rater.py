"""A simulated rater errs by as much as it was told to."""

from __future__ import annotations

import numpy as np
import pytest

from voxloom.dataset import Label, Labels
from voxloom.phantom.rater import simulate_rater
from voxloom.volume import Volume

LABELS = Labels((Label("ball", (3,)), Label("shell", (7,))))


def ball(radius: float, spacing: tuple[float, float, float]) -> Volume:
    shape = [round(48 / mm) for mm in spacing]
    grid = np.indices(shape) * np.array(spacing)[:, None, None, None]
    distance = np.linalg.norm(grid - 24.0, axis=0)
    return Volume((3 * (distance <= radius)).astype(np.uint8)[None], np.diag([*spacing, 1.0]))


@pytest.mark.parametrize("bias", [-2.0, 0.0, 2.0])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.75, 0.75, 1.5)])
def test_bias_moves_the_boundary(bias: float, spacing: tuple[float, float, float]) -> None:
    truth = ball(14.0, spacing)
    drawn = simulate_rater(truth, LABELS, bias_mm=bias)
    radius = (3 * (drawn.data == 3).sum() * np.prod(spacing) / (4 * np.pi)) ** (1 / 3)
    assert radius == pytest.approx(14.0 + bias, abs=0.35)
    if bias == 0:
        assert (drawn.data == truth.data).all()


def test_wobble_has_the_asked_size_and_its_own_seed() -> None:
    truth = ball(14.0, (1.0, 1.0, 1.0))
    drawn = [simulate_rater(truth, LABELS, wobble_mm=1.5, seed=s).data for s in (1, 1, 2)]
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()
    changed = (drawn[0] != truth.data)[0]
    grid = np.linalg.norm(np.indices(truth.shape) - 24.0, axis=0)
    assert 0.3 < np.abs(grid[changed] - 14.0).mean() < 2.5
    assert np.abs(grid[changed] - 14.0).max() < 8


def test_two_structures_never_share_a_voxel() -> None:
    data = np.zeros((1, 20, 20, 20), np.uint8)
    data[0, 5:10, 5:15, 5:15], data[0, 10:15, 5:15, 5:15] = 3, 7
    drawn = simulate_rater(Volume(data, np.eye(4)), LABELS, bias_mm=2.0).data[0]
    assert set(np.unique(drawn)) == {0, 3, 7}
    assert (drawn[:10] != 7).all()
    assert (drawn[10:] != 3).all()
    assert (drawn == 3).sum() > 5 * 10 * 10
