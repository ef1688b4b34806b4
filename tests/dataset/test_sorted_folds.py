"""Worst-case folds: blocks in the order of a column, patients whole, refusals."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloom.dataset import Case, Dataset, sorted_folds
from voxloom.errors import BadInput
from voxloom.formats import write_volume
from voxloom.volume import Volume


def cohort(scans: list[int]) -> Dataset:
    """Patients with the given numbers of scans, oldest first."""
    cases = [
        Case(f"p{p:03d}_{n}", f"p{p:03d}", images={"T1": "x"}, group="AB"[p % 2], attributes={"age": 90.0 - p})
        for p, count in enumerate(scans)
        for n in range(count)
    ]
    return Dataset.from_cases("cohort", cases, ["T1"])


@settings(deadline=None)
@given(st.lists(st.integers(1, 4), min_size=5, max_size=30), st.integers(2, 5))
def test_blocks_are_in_order_and_even(scans: list[int], k: int) -> None:
    data = cohort(scans)
    folds = sorted_folds(data, k, "age")
    ages = [[data[name].attributes["age"] for name in fold.val] for fold in folds]
    assert all(max(low) < min(high) for low, high in pairwise(ages))
    assert sorted(name for fold in folds for name in fold.val) == sorted(case.id for case in data)
    sizes = [len(fold.val) for fold in folds]
    assert min(sizes) >= 1
    assert max(sizes) <= len(data) / k + 2 * max(scans)
    for fold in folds:
        assert not {data[n].patient for n in fold.train} & {data[n].patient for n in fold.val}


@pytest.mark.parametrize(
    ("column", "thick_first"), [("slices", True), ("slice_thickness", False), ("field_of_view", False)]
)
def test_columns_of_the_grid(tmp_path: Path, column: str, thick_first: bool) -> None:
    """Cases a..d have ever thicker and fewer slices along the second axis, of an ever larger body."""
    cases = []
    for n, name in enumerate("abcd"):
        volume = Volume(np.zeros((1, 8, 20 - 2 * n, 6), np.uint8), np.diag([1.0, 2.0 + n, 1.0, 1.0]))
        path = write_volume(volume, tmp_path / f"{name}.nii.gz")
        cases.append(Case(name, name, images={"CT": str(path)}))
    folds = sorted_folds(Dataset.from_cases("d", cases, ["CT"]), 2, column)
    assert [fold.val for fold in folds] == ([("c", "d"), ("a", "b")] if thick_first else [("a", "b"), ("c", "d")])


def test_text_columns_leave_sites_out() -> None:
    data = cohort([1] * 10)
    folds = sorted_folds(data, 2, "group")
    assert [{data[n].group for n in fold.val} for fold in folds] == [{"A"}, {"B"}]


def test_refusals() -> None:
    data = cohort([1, 1, 1])
    with pytest.raises(BadInput, match="4 sorted folds of 3 patients"):
        sorted_folds(data, 4, "age")
    with pytest.raises(BadInput, match="no case has the column 'weight'"):
        sorted_folds(data, 2, "weight")
    mixed = [Case(str(n), str(n), images={"T1": "x"}, attributes=a) for n, a in enumerate([{"x": 1}, {"x": "b"}, {}])]
    with pytest.raises(BadInput, match="patient 2 has no 'x'"):
        sorted_folds(Dataset.from_cases("m", mixed, ["T1"]), 2, "x")
    with pytest.raises(BadInput, match="mixes numbers and text"):
        sorted_folds(Dataset.from_cases("m", mixed[:2], ["T1"]), 2, "x")
