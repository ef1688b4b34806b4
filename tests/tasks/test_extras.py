"""What is written beside predictions: probability maps and cut-outs; unnamed marks; pictures of points."""

from __future__ import annotations

import numpy as np
import pytest

from voxloom.errors import BadInput
from voxloom.evaluation.points import PointRow, score_points
from voxloom.landmarks.naming import name_marks
from voxloom.points import Point
from voxloom.report.point_pictures import Marked, best_rows, point_slices, worst_rows
from voxloom.tasks.landmarks.extras import cut_out
from voxloom.volume import Volume

NAMES = ("L1", "L2", "L3")


def marks(side_x: dict[str, tuple[float, ...]], levels: int = 3) -> list[Point]:
    """Several marks of every foramen, on the slices of its side."""
    return [
        Point(NAMES[level], side, (x, 3.0 * level + 0.5 * n, 60.0 - 28 * level + n))
        for side, xs in side_x.items()
        for level in range(levels)
        for n, x in enumerate(xs)
    ]


BOTH = {"left": (-24.0, -20.0, -16.0), "right": (12.0, 16.0)}


def test_unnamed_marks_get_level_and_side_from_where_they_lie() -> None:
    true = marks(BOTH)
    order = np.random.default_rng(0).permutation(len(true))
    found = name_marks([true[n].position for n in order], NAMES)
    assert list(found) == [true[n] for n in order]
    middle = [Point("T", "", (0, 0, z)) for z in (40, 0, -40)]
    assert [p.name for p in name_marks([p.position for p in middle], NAMES, sides=False)] == list(NAMES)


@pytest.mark.parametrize(
    ("true", "told"),
    [(marks(BOTH, 2), "2 structures are marked on the left"), (marks({"left": (-24.0, -20.0)}), "one side only")],
)
def test_marks_that_do_not_show_every_structure_are_refused(true: list[Point], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        name_marks([p.position for p in true], NAMES)


def test_a_cut_out_is_a_cube_in_true_place() -> None:
    affine = np.array([[0, 0, 4.0, -20], [1.0, 0, 0, 5], [0, 1.0, 0, -7], [0, 0, 0, 1]])
    data = np.arange(20 * 30 * 8, dtype=np.float32).reshape(1, 20, 30, 8)
    volume = Volume(data, affine)
    x, y, z, _ = affine @ [10, 28, 3, 1]
    cut = cut_out(volume, Point("L1", "left", (float(x), float(y), float(z))), 10.0)
    assert cut.shape == (11, 11, 3)
    assert cut.spacing == pytest.approx((1, 1, 4))
    np.testing.assert_array_equal((cut.affine @ [5, 5, 1, 1])[:3], [x, y, z])
    np.testing.assert_array_equal(cut.data[0, :, :7, :], data[0, 5:16, 23:30, 2:5])
    assert not cut.data[0, :, 7:].any()  # beyond the scan


def test_wrong_points_are_drawn_first() -> None:
    true = marks({"left": (-4.0,), "right": (8.0,)})
    found = [p for p in true if (p.name, p.side) != ("L1", "left")]
    found[0] = Point(found[0].name, found[0].side, (-4.0, found[0].position[1] + 9, found[0].position[2]), 0.5)
    rows = [*score_points("a", found, true), *score_points("b", true, true)]
    worst = worst_rows(rows, 3)
    assert [(row.case, row.outcome) for row in worst[:2]] == [("a", "missed"), ("b", "found")]  # the worst of each case
    assert worst[2].case == "a"
    assert worst[2].distance == pytest.approx(9)
    assert {row.distance for row in best_rows(rows, 2)} == {0.0}
    affine = np.array([[0, 0, 4.0, -20], [1.0, 0, 0, -20], [0, 1.0, 0, -30], [0, 0, 0, 1]])
    scan = Volume(np.random.default_rng(0).random((1, 60, 120, 10), np.float32), affine)
    marked = {case: Marked(scan, tuple(true), tuple(found)) for case in "ab"}
    figure = point_slices(worst, marked, 5.0)
    titles = [panel.get_title() for panel in figure.axes if panel.get_title()]
    assert titles[0].startswith("a\nL1 left: missed\nsagittal slice 5")
    assert "9.0 mm off" in titles[2]
    assert figure.axes[2].lines  # the prediction
    gone = PointRow("gone", "L1", "left", "missed", np.nan, np.nan, np.nan)
    assert not [p for p in point_slices([gone], marked, 5.0).axes if p.get_title()]
