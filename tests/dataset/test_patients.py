"""Ids that look like several scans of one person, and those that do not."""

from __future__ import annotations

import pytest

from voxloom.dataset import Case
from voxloom.dataset.patients import alike_ids, suspected_patients, suspicion


@pytest.mark.parametrize(
    ("ids", "person"),
    [
        (["P1_a", "P1_b", "P2_a"], "P1"),
        (["P1a", "P1b", "P2a"], "P1"),
        (["SCD0001-IM-0003", "SCD0001-IM-0004", "SCD0002-IM-0001"], "SCD0001"),
        (["SC-HF-I-01-IM-0001-0048", "SC-HF-I-01-IM-0001-0059", "SC-HF-I-02-IM-0001-0001"], "SC-HF-I-01"),
        (["sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1"], "sub-01"),
        (["12_pre", "12_post", "13_pre"], "12"),
        (["BraTS-GLI-00001-000", "BraTS-GLI-00001-001", "BraTS-GLI-00002-000"], "BraTS-GLI-00001"),
        (["patient001_frame01", "patient001_frame12", "patient002_frame01"], "patient001"),
    ],
)
def test_several_scans_of_one_person_are_suspected(ids: list[str], person: str) -> None:
    assert alike_ids(ids) == {person: ids[:2]}
    assert f"{ids[0]} and {ids[1]}" in suspicion(alike_ids(ids))


@pytest.mark.parametrize(
    "ids",
    [
        ["hippocampus_001", "hippocampus_003", "hippocampus_004"],
        ["case_01", "case_02", "case_03"],
        ["BraTS20_Training_001", "BraTS20_Training_002"],
        ["P1", "P2", "P3"],
        ["SCD0001-IM-0003", "SCD0002-IM-0001"],
        [f"site{s}_{n:03d}" for s in (1, 2) for n in range(30)],
    ],
)
def test_serial_numbers_are_no_suspicion(ids: list[str]) -> None:
    assert alike_ids(ids) == {}
    assert suspicion({}) == ""


def test_only_cases_whose_patient_nobody_named_are_suspected() -> None:
    cases = [Case("P1_a", "x"), Case("P1_b", "y"), Case("P2_a", "z")]
    assert suspected_patients(cases) == {}
