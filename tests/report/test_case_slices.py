"""Slices of a case in the report: which are drawn, what they are called, and nothing said about a patient that is not known."""

from __future__ import annotations

import numpy as np
import pytest

from voxloom.dataset.labels import Label, Labels
from voxloom.report.case_slices import case_slices, planes_of
from voxloom.volume import Volume


def _drawn(shape: tuple[int, int, int]) -> list[tuple[str, set[str]]]:
    """Title and letters of every panel, for a case of this shape with one block of a label."""
    data = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    mask = np.zeros((1, *shape), np.uint8)
    mask[:, :, : shape[1] // 2] = 1
    labels = Labels((Label("block", (1,)),))
    figure = case_slices(Volume(data, np.eye(4)), [(Volume(mask, np.eye(4)), "-")], labels)
    assert all(len(panel.images) == 1 for panel in figure.axes)
    return [(panel.get_title(), {text.get_text() for text in panel.texts}) for panel in figure.axes]


def test_a_volume_shows_three_planes_with_their_sides() -> None:
    assert [title.split(",")[0] for title, _ in _drawn((6, 8, 10))] == ["sagittal", "coronal", "axial"]
    assert _drawn((6, 8, 10))[2][1] == {"R", "L", "A", "P"}


def test_a_picture_fills_the_figure_and_claims_nothing_about_the_patient() -> None:
    assert _drawn((16, 12, 1)) == [("", set())]


def test_a_single_coronal_slice_is_shown_once_by_its_name() -> None:
    assert _drawn((9, 1, 7)) == [("coronal, slice 1 of 1", {"R", "L", "H", "F"})]


@pytest.mark.parametrize(
    ("shape", "planes"), [((4, 5, 6), (0, 1, 2)), ((1, 5, 6), (0,)), ((4, 5, 1), (2,)), ((4, 1, 1), (2,))]
)
def test_planes(shape: tuple[int, int, int], planes: tuple[int, ...]) -> None:
    assert planes_of(shape) == planes
