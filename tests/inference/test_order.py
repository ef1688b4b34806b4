"""Names in a row: one per structure, in the order in the patient, the likeliest that follow one another."""

from __future__ import annotations

import numpy as np
import pytest

from voxloom.dataset import Label, Labels
from voxloom.inference.order import name_in_order

LABELS = Labels((Label("L1", (5,)), Label("L2", (4,)), Label("L3", (3,)), Label("canal", (9,))))
ROW = ("L1", "L2", "L3")


def stack(count: int) -> np.ndarray:
    """Numbers 1, 2, ... of cubes along the last axis, parted by gaps."""
    parts = np.zeros((6, 6, 8 * count), int)
    for n in range(count):
        parts[1:5, 1:5, 8 * n + 1 : 8 * n + 6] = n + 1
    return parts


def named(
    parts: np.ndarray, drawn: list[int], chances: list[list[float]], up: bool = False, **more: float
) -> list[int]:
    """The value of each cube afterwards; cube 1 is the highest, unless the axis runs up."""
    outer = np.array([0, *drawn], np.uint8)[parts]
    outer[0, 0, :] = 9
    before = outer.copy()
    table = np.array([[0.0] * 3, *chances])
    affine = np.diag([1.0, 1.0, 1.0 if up else -1.0, 1.0])
    found = name_in_order(outer, LABELS, ROW, lambda name: table[parts, ROW.index(name)], affine, **more)
    assert np.array_equal(outer, before)
    assert (found[0, 0, :] == 9).all(), "other labels stay"
    values = [np.unique(found[parts == n]) for n in range(1, parts.max() + 1)]
    assert all(len(v) == 1 for v in values)
    return [int(v[0]) for v in values]


def test_a_doubled_name_is_put_right_by_its_neighbors() -> None:
    chances = [[0.5, 0.4, 0.0], [0.05, 0.45, 0.5], [0.0, 0.05, 0.95]]
    assert named(stack(3), [5, 3, 3], chances) == [5, 4, 3]


def test_a_structure_above_the_row_has_no_name() -> None:
    above = [[0.55, 0.05, 0.0], [0.4, 0.5, 0.05], [0.0, 0.45, 0.5], [0.0, 0.0, 0.99]]
    assert named(stack(4), [5, 4, 3, 3], above) == [0, 5, 4, 3]


@pytest.mark.parametrize("up", [False, True])
def test_the_order_is_that_of_the_patient(up: bool) -> None:
    chances = [[0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.0, 0.1, 0.9]]
    if up:
        assert named(stack(3), [3, 4, 5], chances[::-1], up=True) == [3, 4, 5]
    else:
        assert named(stack(3), [5, 4, 3], chances) == [5, 4, 3]


def test_two_names_in_one_structure_become_one() -> None:
    parts = stack(1)
    outer = np.where(parts == 1, 4, 0).astype(np.uint8)
    outer[1:5, 1:5, 1:3] = 5
    chance = {"L1": 0.3, "L2": 0.6, "L3": 0.1}
    found = name_in_order(outer, LABELS, ROW, lambda name: np.where(parts == 1, chance[name], 0), np.eye(4))
    assert np.array_equal(found == 4, parts == 1)
    assert np.array_equal(name_in_order(outer * 0, LABELS, ROW, lambda name: parts, np.eye(4)), outer * 0)


def test_small_pieces_are_left_as_they_are() -> None:
    parts = stack(2)
    parts[parts == 1] = 0
    parts[2, 2, 2] = 1
    chances = [[0.0, 0.0, 0.9], [0.9, 0.1, 0.0]]
    assert named(parts, [3, 5], chances, smallest_ml=0.01) == [3, 5]


def test_a_row_that_is_right_already_asks_for_no_probabilities() -> None:
    """They cost a second prediction of the scan."""

    def ask(name: str) -> np.ndarray:
        raise AssertionError(name)

    outer = np.array([0, 5, 4, 3], np.uint8)[stack(3)]
    affine = np.diag([1.0, 1.0, -1.0, 1.0])
    assert np.array_equal(name_in_order(outer, LABELS, ROW, ask, affine), outer)
    for doubled in ([0, 5, 4, 4], [0, 5, 3, 4], [0, 5, 3, 3]):
        with pytest.raises(AssertionError, match="L1"):
            name_in_order(np.array(doubled, np.uint8)[stack(3)], LABELS, ROW, ask, affine)
