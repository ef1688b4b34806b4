"""The order of annotation: uncertain first, unlike each other."""

from __future__ import annotations

import numpy as np
import pytest

from voxloom.errors import BadInput
from voxloom.evaluation.ranking import choose, distances, uncertainty_ranks


def test_ranks_are_means_and_ties_share() -> None:
    assert uncertainty_ranks([[1, 2, 3]]).tolist() == [0, 0.5, 1]
    assert uncertainty_ranks([[1, 2, 3], [3, 2, 1]]).tolist() == [0.5, 0.5, 0.5]
    assert uncertainty_ranks([[5, 5]]).tolist() == [0.5, 0.5]
    assert uncertainty_ranks([[7]]).tolist() == [0]


def test_distances_ignore_units_and_constants() -> None:
    rows = np.array([[0, 0, 5], [1, 100, 5], [2, 0, 5], [3, 200, 5]], dtype=float)
    found = distances(rows)
    assert np.allclose(found, distances(rows * [1, 1000, 3] + 7))
    assert found.max() == 1
    assert np.allclose(found, found.T)
    assert (distances(np.ones((3, 2))) == 0).all()


def test_diversity_passes_over_the_twin() -> None:
    """Two scans alike and most uncertain, one unlike them: with diversity the second choice is the unlike one."""
    doubt = [1.0, 0.95, 0.5, 0.0]
    apart = distances([[0.0], [0.05], [4.0], [2.0]])
    assert [c.index for c in choose(doubt, apart, 4, 0)] == [0, 1, 2, 3]
    chosen = choose(doubt, apart, 3, 0.5)
    assert [c.index for c in chosen] == [0, 2, 1]
    assert chosen[0].distance is None
    assert (chosen[1].distance, chosen[1].nearest) == (1.0, 0)
    assert chosen[1].score == pytest.approx(0.75)
    assert chosen[2].nearest == 0
    assert len(choose(doubt, apart, 9)) == 4


@pytest.mark.parametrize(("count", "diversity"), [(0, 0.5), (1, 1.5), (1, -0.1)])
def test_refusals(count: int, diversity: float) -> None:
    with pytest.raises(BadInput):
        choose([1.0], np.zeros((1, 1)), count, diversity)
