"""The nodule phantom: its classes differ by shape alone, raters agree as far as they were made to, masks are never an input."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion

from voxloom.dataset import Dataset
from voxloom.formats import read_label
from voxloom.phantom import PhantomCase, make_phantom, write_phantoms

CASES = 60
RATERS = [f"rater_{n}" for n in range(1, 5)]


@pytest.fixture(scope="module")
def cases() -> list[PhantomCase]:
    return [make_phantom("nodule-ct", 5, index=n) for n in range(CASES)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantoms("nodule-ct", 6, tmp_path_factory.mktemp("nodules") / "data", seed=5, raters=2)


def median(case: PhantomCase) -> float:
    return float(np.median([case.attributes[name] for name in RATERS]))


def roughness(case: PhantomCase) -> float:
    """Share of the nodule that an opening by one voxel takes away."""
    mask = case.label.data[0] > 0
    opened = binary_dilation(binary_erosion(mask)) & mask
    return float(1 - opened.sum() / mask.sum())


def test_crops_are_small_in_real_millimetres_and_in_hounsfield_units(cases: list[PhantomCase]) -> None:
    for case in cases[:12]:
        assert case.image.shape[:2] == (40, 40)
        assert 22 <= case.image.shape[2] <= 35
        assert all(38 < n * mm < 47 for n, mm in zip(case.image.shape, case.image.spacing, strict=True))
        lung, nodule = case.image.data[case.label.data == 0], case.image.data[case.label.data > 0]
        assert -930 < np.median(lung) < -780
        assert -80 < np.percentile(nodule, 75) < 110  # spicules are thinner than voxels
        assert 15 < case.label.data.sum() < 0.1 * case.label.data.size


def test_both_classes_are_there_and_only_malignant_nodules_have_spicules(cases: list[PhantomCase]) -> None:
    by_class = defaultdict(list)
    for case in cases:
        by_class[case.attributes["target"]].append(case)
    assert 0.25 < len(by_class["malignant"]) / CASES < 0.6
    rough = {name: np.mean([roughness(c) for c in found]) for name, found in by_class.items()}
    assert rough["malignant"] > 2 * rough["benign"]
    sizes = {name: np.mean([c.attributes["diameter_mm"] for c in found]) for name, found in by_class.items()}
    assert abs(sizes["malignant"] - sizes["benign"]) < 1.5
    outside = {n: np.mean([c.image.data[c.label.data == 0].mean() for c in found]) for n, found in by_class.items()}
    assert abs(outside["malignant"] - outside["benign"]) < 20


def test_raters_score_from_one_to_five_and_follow_the_truth(cases: list[PhantomCase]) -> None:
    scores = np.array([[case.attributes[name] for name in RATERS] for case in cases])
    assert scores.min() >= 1
    assert scores.max() <= 5
    clear = [case for case in cases if median(case) != 3]
    right = [(median(case) > 3) == (case.attributes["target"] == "malignant") for case in clear]
    assert np.mean(right) > 0.9
    assert 0.02 < 1 - len(clear) / CASES < 0.35
    within = scores.var(axis=1, ddof=1).mean()
    alpha = 1 - within / scores.ravel().var(ddof=1)  # Krippendorff's, interval scale, no score missing
    assert 0.45 < alpha < 0.8


def test_patients_have_one_two_and_three_scans(cases: list[PhantomCase]) -> None:
    scans = defaultdict(list)
    for case in cases:
        scans[case.attributes["patient"]].append(case)
    assert sorted(len(found) for found in scans.values()) == [1] * 10 + [2] * 10 + [3] * 10
    assert all(len({c.attributes["age"] for c in found}) == 1 for found in scans.values())
    assert {case.attributes["nodules"] for case in cases} == {1, 2, 3}


def test_nodules_lie_all_over_the_crop(cases: list[PhantomCase]) -> None:
    middles = []
    for case in cases:
        if case.attributes["nodules"] == 1:
            middles.append(np.argwhere(case.label.data[0]).mean(axis=0) / case.image.shape)
    assert (np.std(middles, axis=0) > 0.1).all()
    central = [case.label.data[0][tuple(n // 2 for n in case.image.shape)] > 0 for case in cases]
    assert np.mean(central) < 0.4


def test_the_same_seed_gives_the_same_case(cases: list[PhantomCase]) -> None:
    again = make_phantom("nodule-ct", 5, index=7)
    np.testing.assert_array_equal(again.image.data, cases[7].image.data)
    assert again.attributes == cases[7].attributes
    assert make_phantom("nodule-ct", 5, size="full").image.shape[:2] == (80, 80)


def test_the_table_and_the_folder_tell_the_same_and_a_mask_is_no_input(folder: Path, cases: list[PhantomCase]) -> None:
    for source in (folder, folder / "cases.csv"):
        data = Dataset(source)
        assert len(data.channels) == 1
        for case, made in zip(data, cases, strict=False):
            assert case.target == made.attributes["target"]
            assert case.patient == made.attributes["patient"]
            assert [case.attributes[name] for name in RATERS] == [made.attributes[name] for name in RATERS]
            np.testing.assert_array_equal(case.read_image().data, made.image.data)
            label = case.read_label()
            assert label is not None
            np.testing.assert_array_equal(label.data, made.label.data)
    assert any("mask_rater_1 is a mask beside mask" in note for note in Dataset(folder / "cases.csv").notes)


def test_the_union_of_the_raters_holds_most_of_the_nodule(folder: Path, cases: list[PhantomCase]) -> None:
    for n in range(3):
        drawn = [read_label(folder / "raters" / f"R{r}" / f"nodule_{n:03d}.nii.gz").data > 0 for r in (1, 2)]
        truth = cases[n].label.data > 0
        assert (np.any(drawn, axis=0) & truth).sum() > 0.85 * truth.sum()


def test_as_dicom_the_table_names_the_folders_of_slices(tmp_path: Path, cases: list[PhantomCase]) -> None:
    folder = write_phantoms("nodule-ct", 1, tmp_path / "data", seed=5, dicom=True)
    case = Dataset(folder / "cases.csv")[0]
    np.testing.assert_array_equal(case.read_image().data, cases[0].image.data)
