import numpy as np
import pytest

from voxloom.dataset.labels import Label, Labels
from voxloom.errors import BadInput
from voxloom.inference import keep_largest

PLAIN = Labels((Label("a", (3,)), Label("b", (7,))))
REGIONS = Labels((Label("whole", (1, 2)), Label("core", (2,))))


def test_only_the_named_label_loses_its_scraps():
    outer = np.zeros((12, 12, 12), np.uint8)
    outer[1:5, 1:5, 1:5], outer[9:11, 9:11, 9:11] = 3, 3
    outer[1, 9, 9], outer[3, 9, 9] = 7, 7
    kept = keep_largest(outer, PLAIN, ["a"])
    assert (kept == 3).sum() == 64
    assert (kept == 7).sum() == 2
    assert (outer == 3).sum() == 72


def test_voxels_that_touch_at_a_corner_are_one_component():
    outer = np.zeros((4, 4, 4), np.uint8)
    outer[0, 0, 0], outer[1, 1, 1] = 3, 3
    np.testing.assert_array_equal(keep_largest(outer, PLAIN, ["a"]), outer)


def test_a_removed_core_stays_part_of_the_whole():
    outer = np.zeros((10, 10, 10), np.uint8)
    outer[1:9, 1:9, 1:9] = 1
    outer[2:5, 2:5, 2:5], outer[7, 7, 7] = 2, 2
    kept = keep_largest(outer, REGIONS, ["core"])
    assert kept[7, 7, 7] == 1
    assert (kept == 2).sum() == 27


def test_an_absent_label_changes_nothing_and_an_unknown_name_is_refused():
    outer = np.zeros((3, 3, 3), np.uint8)
    np.testing.assert_array_equal(keep_largest(outer, PLAIN, ["a", "b"]), outer)
    with pytest.raises(BadInput, match="'c'"):
        keep_largest(outer, PLAIN, ["c"])
