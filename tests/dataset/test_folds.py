"""Folds: no patient on both sides, balanced, the same for the same seed; nnU-Net's splits."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloom.dataset import Case, Dataset, Fold, hold_out, make_folds, read_splits, write_splits
from voxloom.errors import BadInput

Make = Any


def cohort(scans: list[int], site: str = "ABC") -> Dataset:
    """Patients with the given numbers of scans; sites in turn, ages ascending."""
    cases = [
        Case(f"p{p:03d}_{n}", f"p{p:03d}", images={"T1": "x"}, group=site[p % len(site)], attributes={"age": 20.0 + p})
        for p, count in enumerate(scans)
        for n in range(count)
    ]
    return Dataset.from_cases("cohort", cases, ["T1"])


def patients(data: Dataset, ids: tuple[str, ...]) -> set[str]:
    return {data[name].patient for name in ids}


@settings(deadline=None)
@given(st.lists(st.integers(1, 4), min_size=6, max_size=30), st.integers(2, 5), st.integers(0, 99), st.booleans())
def test_folds_keep_patients_whole_and_cover_all(scans: list[int], k: int, seed: int, stratified: bool) -> None:
    data = cohort(scans)
    folds = make_folds(data, k, seed=seed, stratify="group" if stratified else None)
    assert sorted(name for fold in folds for name in fold.val) == sorted(c.id for c in data)
    for fold in folds:
        assert fold.val
        assert set(fold.train) | set(fold.val) == {c.id for c in data}
        assert not patients(data, fold.train) & patients(data, fold.val)
    sizes = [len(fold.val) for fold in folds]
    assert max(sizes) - min(sizes) <= (3 if stratified else 1) * max(scans)


@settings(deadline=None)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=30), st.floats(0.05, 0.9), st.integers(0, 99))
def test_hold_out_keeps_patients_whole(scans: list[int], fraction: float, seed: int) -> None:
    data = cohort(scans)
    fold = hold_out(data, fraction, seed=seed)
    assert fold.train
    assert fold.val
    assert sorted(fold.train + fold.val) == sorted(c.id for c in data)
    assert not patients(data, fold.train) & patients(data, fold.val)
    assert abs(len(fold.val) - fraction * len(data)) <= max(scans)


def test_folds_depend_on_the_seed_and_not_on_the_order() -> None:
    data = cohort([1] * 20)
    turned = Dataset.from_cases("cohort", data.cases[::-1], ["T1"])
    assert make_folds(data, 4, seed=1) == make_folds(turned, 4, seed=1) != make_folds(data, 4, seed=2)
    assert hold_out(data, 0.25, seed=1) == hold_out(turned, 0.25, seed=1) != hold_out(data, 0.25, seed=2)
    assert len(hold_out(data, 0.25).val) == 5


@pytest.mark.parametrize("column", ["group", "age"])
def test_strata_are_spread_evenly(column: str) -> None:
    data = cohort([1] * 60)
    for fold in make_folds(data, 5, seed=3, stratify=column):
        sites = [data[name].group for name in fold.val]
        if column == "group":
            assert [sites.count(site) for site in "ABC"] == [4, 4, 4]
        else:
            assert np.mean([data[name].attributes["age"] for name in fold.val]) == pytest.approx(49.5, abs=5)
    ages = [data[name].attributes["age"] for name in hold_out(data, 0.2, stratify="age").val]
    assert len(ages) == 12
    assert np.mean(ages) == pytest.approx(49.5, abs=6)


def test_label_volume_is_in_cubic_millimeters(make_nnunet: Make, nifti: Make) -> None:
    root = make_nnunet(values={f"c{n:02d}": 1 for n in range(8)})
    for n in range(8):
        voxels = np.zeros((6, 5, 4), np.uint8)
        voxels[: 1 + n // 2] = 1
        nifti(root / "labelsTr" / f"c{n:02d}.nii.gz", voxels)
    data = Dataset(root)
    for fold in make_folds(data, 2, stratify="label_volume"):
        assert sorted(int(name[1:]) // 2 for name in fold.val) == [0, 1, 2, 3]


def test_what_cannot_be_folded() -> None:
    data = cohort([1, 1, 4])
    for k in (1, 4):
        with pytest.raises(BadInput, match=f"{k} folds of 3 patients"):
            make_folds(data, k)
    with pytest.raises(BadInput, match=r"no case has the column 'sex'.*age, label_volume"):
        make_folds(data, 2, stratify="sex")
    for fraction in (0, 1, 1.5):
        with pytest.raises(BadInput, match="cannot be held out"):
            hold_out(data, fraction)
    with pytest.raises(BadInput, match="cannot be held out"):
        hold_out(cohort([3]), 0.5)


def test_splits_are_written_and_read_as_nnunet_does(tmp_path: Path) -> None:
    data = cohort([1, 2, 1, 2])
    folds = make_folds(data, 2)
    path = write_splits(folds, tmp_path / "splits_final.json")
    content = json.loads(path.read_text())
    assert [set(entry) for entry in content] == [{"train", "val"}] * 2
    assert read_splits(path, data) == folds


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[", "is not valid JSON"),
        ({"train": []}, "not a list of folds"),
        ([], "not a list of folds"),
        ([{"train": ["p000_0"]}], "fold 0 is not"),
        ([{"train": ["p000_0", "gone"], "val": []}], "not in cohort: gone"),
        ([{"train": ["p000_0"], "val": ["p000_0"]}], "twice: p000_0"),
        ([{"train": [], "val": ["p000_0"]}], "no training case"),
        ([{"train": ["p001_0"], "val": ["p001_1"]}], "same patients: p001"),
    ],
)
def test_splits_that_are_refused(tmp_path: Path, content: Any, says: str) -> None:
    path = tmp_path / "splits_final.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(BadInput, match=says):
        read_splits(path, cohort([1, 2]))


def test_a_fold_without_validation_is_read(tmp_path: Path) -> None:
    path = write_splits([Fold(("p000_0",), ())], tmp_path / "s.json")
    assert read_splits(path, cohort([1, 2])) == [Fold(("p000_0",), ())]


def test_real_frames_of_a_patient_stay_together(data_dir: Path) -> None:
    data = Dataset(data_dir / "cardiac-2d")
    folds = make_folds(data, 5, seed=0, stratify="group")
    for fold in folds:
        assert not patients(data, fold.train) & patients(data, fold.val)
        assert {data[name].group for name in fold.val} == {"HF-I", "HF-NI", "HYP", "N"}


def test_a_hold_out_takes_its_share_of_every_combination_of_columns() -> None:
    cases = [
        Case(
            f"c{n}", f"c{n}", images={"MR": f"{n}.nii"}, attributes={"source": "AB"[n % 2], "age": 20 + 40 * (n // 50)}
        )
        for n in range(100)
    ]
    found = hold_out(Dataset.from_cases("set", cases, ("MR",)), 0.2, seed=3, stratify=("source", "age"))
    held = [case for case in cases if case.id in found.val]
    counts = Counter((case.attributes["source"], case.attributes["age"]) for case in held)
    assert counts == {("A", 20): 5, ("B", 20): 5, ("A", 60): 5, ("B", 60): 5}
