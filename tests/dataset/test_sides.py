"""Labels that tell left from right, by their names alone."""

from __future__ import annotations

import pytest

from voxloom.dataset.sides import left_right_axes, side_pairs


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("kidney_left", "kidney_right"),
        ("Left Lung", "Right Lung"),
        ("left-hippocampus", "right-hippocampus"),
        ("leftKidney", "rightKidney"),
        ("L_hip", "R_hip"),
        ("hip.l", "hip.r"),
        ("femur LT", "femur RT"),
        ("lh_cortex", "rh_cortex"),
        ("Left-Amygdala", "right amygdala"),
        ("rib_left_7", "rib_right_7"),
    ],
)
def test_pairs(left: str, right: str) -> None:
    assert side_pairs(["other", left, right]) == ((left, right),)
    assert side_pairs([right, left, "other"]) == ((right, left),)


@pytest.mark.parametrize(
    "names",
    [
        ["left atrium"],
        ["liver", "lung"],
        ["L1", "L2", "R"],
        ["anterior", "posterior"],
        ["rib_left_7", "rib_right_8"],
        [],
    ],
)
def test_no_pair(names: list[str]) -> None:
    assert side_pairs(names) == ()


def test_axes() -> None:
    assert left_right_axes("RAS") == (0,)
    assert left_right_axes("ASR") == (2,)
    assert left_right_axes("LPI") == (0,)
    assert left_right_axes("slices") == left_right_axes(None) == (0, 1, 2)
