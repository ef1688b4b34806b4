"""Site-wise and leave-one-group-out folds: groups stay whole, patients too, refusals."""

from __future__ import annotations

import pytest

from voxloom.dataset import Case, Dataset, group_folds, leave_one_out
from voxloom.errors import BadInput

SITES = {"A": 5, "B": 3, "C": 2, "D": 2}


def cohort() -> Dataset:
    """Cases of four sites; the scanner is an attribute."""
    cases = [
        Case(f"{site}{n}", f"{site}{n}", site, images={"T1": "x"}, attributes={"scanner": 15 if site < "C" else 30})
        for site, count in SITES.items()
        for n in range(count)
    ]
    return Dataset.from_cases("cohort", cases, ["T1"])


def sites(ids: tuple[str, ...]) -> set[str]:
    return {name[0] for name in ids}


def test_every_site_is_left_out_once() -> None:
    folds = leave_one_out(cohort(), "group")
    assert [sites(fold.val) for fold in folds] == [{"A"}, {"B"}, {"C"}, {"D"}]
    assert all(not sites(fold.val) & sites(fold.train) for fold in folds)
    assert [len(fold.train) + len(fold.val) for fold in folds] == [12] * 4


def test_an_attribute_may_be_the_group() -> None:
    assert [sites(fold.val) for fold in leave_one_out(cohort(), "scanner")] == [{"A", "B"}, {"C", "D"}]


def test_sites_are_spread_over_fewer_folds() -> None:
    folds = group_folds(cohort(), 3, "group")
    assert sorted(sorted(sites(fold.val)) for fold in folds) == [["A"], ["B"], ["C", "D"]]
    assert all(not sites(fold.val) & sites(fold.train) for fold in folds)


def test_groups_that_cannot_divide_are_refused() -> None:
    data = cohort()
    torn = Dataset.from_cases("torn", [*data, Case("A9", "B0", "A", images={"T1": "x"})], ["T1"])
    unknown = Dataset.from_cases("unknown", [*data, Case("E0", "E0", images={"T1": "x"})], ["T1"])
    with pytest.raises(BadInput, match="patient B0 has cases with 'group' B and A"):
        leave_one_out(torn, "group")
    with pytest.raises(BadInput, match="no 'group' is known of E0"):
        leave_one_out(unknown, "group")
    with pytest.raises(BadInput, match="5 folds of 4 values"):
        group_folds(data, 5, "group")
    with pytest.raises(BadInput, match="nothing to divide by"):
        leave_one_out(data.subset(["A0", "A1"]), "group")
