"""Every fault that inspect promises to find, once present and once absent."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voxloom.dataset import Dataset
from voxloom.dataset.inspect import Problem, find_problems, fingerprint
from voxloom.dataset.inspect.check_images import robust_scores

from .conftest import SHAPE, Make, block, volume, write


def problems(dataset: Dataset) -> list[Problem]:
    return find_problems(dataset, fingerprint(dataset))


def told(dataset: Dataset, severity: str, words: str) -> Problem:
    """The one problem of this severity that holds these words."""
    found = [p for p in problems(dataset) if p.severity == severity and words in p.what]
    assert len(found) == 1, [str(p) for p in problems(dataset)]
    return found[0]


def test_a_clean_set(make: Make) -> None:
    made = make(12, labels={f"c{n:02d}": block(size=5) for n in range(12)})
    assert {p.severity for p in problems(made)} == {"note"}


def test_errors_come_first(make: Make) -> None:
    order = [p.severity for p in problems(make(6, labels={"c03": block(3), "c04": block(0)}))]
    assert order == sorted(order, key=["error", "warning", "note"].index)


def test_half_copied_file(make: Make) -> None:
    made = make(6)
    path = Path(str(made["c02"].images["MR"]))
    path.write_bytes(path.read_bytes()[:400])
    problem = next(p for p in problems(made) if p.severity == "error")
    assert problem.case == "c02"
    assert "c02_0000.nii.gz" in problem.what
    found = fingerprint(made)
    assert [case.readable for case in found.cases].count(False) == 1


def test_ids_that_differ_by_case_only(make: Make) -> None:
    made = make(6)
    assert not [p for p in problems(made) if "upper and lower case" in p.what]
    twin = replace(made["c01"], id="C01")
    problem = told(Dataset.from_cases("x", [*made, twin], ["MR"]), "warning", "upper and lower case")
    assert set(problem.cases) == {"c01", "C01"}


def test_label_of_another_shape(make: Make) -> None:
    made = make(6, labels={"c01": np.ones((12, 10, 7), np.uint8)})
    assert "shape 12 x 10 x 7 against 12 x 10 x 8" in told(made, "error", "does not lie on its image").what


def test_label_on_another_grid(make: Make) -> None:
    made = make(6)
    shifted = np.eye(4)
    shifted[0, 3] = 5.0
    write(Path(str(made["c01"].label)), block(), shifted)
    assert "up to 5 mm apart" in told(made, "error", "does not lie on its image").what


def test_undeclared_value(make: Make) -> None:
    problem = told(make(6, labels={"c01": block(3)}), "error", "label value 3 not declared (declared: 0 to 1)")
    assert problem.case == "c01"
    assert "dataset.json" in problem.fix


def test_label_with_fractions(make: Make) -> None:
    made = make(6, labels={"c01": block().astype(np.float32) * 0.5})
    assert [p.case for p in problems(made) if p.severity == "error"] == ["c01"]


def test_empty_label(make: Make) -> None:
    assert told(make(6, labels={"c01": block(0)}), "warning", "empty label map").case == "c01"


def test_all_labels_empty(make: Make) -> None:
    told(make(2, labels={"c00": block(0), "c01": block(0)}), "error", "no label map holds a labeled voxel")


def test_copies_with_other_compression_and_type(make: Make) -> None:
    whole = np.round(volume(1)).astype(np.float32)
    made = make(6, images={"c01": whole, "c04": whole.astype(np.int16)})
    path = Path(str(made["c01"].images["MR"]))
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content, compresslevel=1))
    problem = told(made, "error", "exact copies")
    assert problem.cases == ("c01", "c04")


def test_copies_in_two_splits(make: Make) -> None:
    made = make(4, images={"c01": volume(0)})
    parts = {"c00": "train", "c01": "test"}
    cases = [replace(c, patient="p", split=parts.get(c.id)) for c in made]  # type: ignore[arg-type]
    found = problems(Dataset.from_cases("x", cases, made.channels, made.labels))
    assert any("in test and train" in p.what for p in found if p.severity == "error")
    assert any("1 patient in more than one split" in p.what for p in found)


def test_intensity_scales(make: Make) -> None:
    made = make(6, images={"c01": volume(1, 0.04), "c02": volume(2, 17_000)})
    problem = told(made, "warning", "intensity scale of MR differs")
    assert "maxima from 4 to 1.7 million" in problem.what
    assert "zscore" in problem.fix


def test_a_single_odd_gray_scale(make: Make) -> None:
    assert told(make(12, images={"c01": volume(1, 6)}), "warning", "unusual gray scale").case == "c01"


def test_specks(make: Make) -> None:
    bright = volume(1)
    bright[0, 0, 0] = 90_000
    assert told(make(6, images={"c01": bright}), "note", "far brighter").case == "c01"


def test_number_types(make: Make) -> None:
    told(make(6, images={"c01": volume(1).astype(np.uint8)}), "note", "5 float32, 1 uint8")


def test_ct_without_air(make: Make) -> None:
    told(make(6, channel="CT"), "warning", "no value below -200 HU")


def test_a_channel_filled_in(make: Make) -> None:
    assert told(make(6, images={"c01": np.zeros(SHAPE, np.float32)}), "error", "one value everywhere").case == "c01"


def test_voxels_that_are_no_numbers(make: Make) -> None:
    bad = volume(1)
    bad[0, 0, 0] = np.nan
    assert [p.case for p in problems(make(6, images={"c01": bad})) if p.severity == "error"] == ["c01"]


def test_odd_spacing_and_orientation(make: Make) -> None:
    made = make(6, affines={"c01": np.diag([-1.0, -1.0, 1.0, 1.0]), "c02": np.diag([1.0, 1.0, 4.0, 1.0])})
    assert "5 RAS, 1 LPS" in told(made, "note", "lie differently").what
    assert told(made, "warning", "unusual voxel sizes").cases == ("c02",)
    assert "1 of 6 cases have voxels over 3 times longer" in told(made, "note", "longer than wide").what


def test_small_and_scattered_and_missing_labels(make: Make) -> None:
    names = {"background": 0, "organ": 1, "duct": 2, "ghost": 3}
    masks = {}
    for n in range(12):
        masks[f"c{n:02d}"] = block()
        masks[f"c{n:02d}"][10, 8, 6] = 2
    masks["c05"][11, 0, 0] = 1
    made = make(12, labels=masks, names=names)
    small = told(made, "warning", "small label")
    assert "duct (0.1 % of all voxels, median 1 voxels)" in small.what
    assert "sample" in small.fix
    assert "ghost" in told(made, "warning", "in no case").what
    assert told(made, "note", "several pieces").cases == ("c05",)


def test_case_without_label(make: Make) -> None:
    made = make(4)
    cases = [replace(c, label=None) if c.id == "c01" else c for c in made]
    assert told(Dataset.from_cases("x", cases, made.channels, made.labels), "warning", "without a label").case == "c01"


def test_class_balance(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.array([[0]] * 8 + [[1]] * 2)
    np.savez(tmp_path / "x.npz", train_images=rng.integers(0, 255, (10, 6, 6, 6), np.uint8), train_labels=labels)
    told(Dataset(tmp_path / "x.npz"), "note", "always saying 0 scores 80.0 %")


def test_the_same_error_of_many_cases_is_one_line(make: Make) -> None:
    """185 equal lines say less than one."""
    made = make(9, labels={f"c{n:02d}": block(3) for n in range(9)})
    told_once = [p for p in find_problems(made, fingerprint(made)) if "label value 3" in p.what]
    (problem,) = told_once
    assert problem.what.startswith("in 9 cases (c00, c01")
    assert problem.what.endswith("more): label value 3 not declared (declared: 0 to 1)")
    assert problem.cases == tuple(f"c{n:02d}" for n in range(9))


def test_undeclared_labels_of_a_folder(make: Make, tmp_path: Path) -> None:
    made = make(3, labels={"c00": block(7)})
    root = tmp_path / "pair"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for case in made:
        shutil.copy(str(case.images["MR"]), root / "images" / f"{case.id}.nii.gz")
        shutil.copy(str(case.label), root / "masks" / f"{case.id}.nii.gz")
    (root / "masks" / "c02.nii.gz").write_bytes(b"half")
    found = fingerprint(Dataset(root))
    assert found.label_names == ("label_1", "label_7")
    assert [case.id for case in found.cases if case.problem] == ["c02"]


def test_robust_scores() -> None:
    values = np.array([1.0, 1.1, 0.9, 1.0, 1.05, 9.0])
    assert robust_scores(values).argmax() == 5
    assert abs(robust_scores(values)[:5]).max() < 3
    assert not robust_scores(values[:3]).any()


def test_messages_are_one_line(make: Make) -> None:
    for problem in problems(make(6, labels={"c01": block(3), "c02": block(0)})):
        assert "\n" not in str(problem)
        assert not problem.what.endswith(".")


@pytest.mark.parametrize("name", ["lumbar-mr", "spine-2d"])
def test_real_sets(data_dir: Path, name: str) -> None:
    found = problems(Dataset(data_dir / name))
    assert not [p for p in found if p.severity == "error"]
    if name == "spine-2d":
        assert any(p.cases == ("00", "05", "10") for p in found if "empty label map" in p.what)


def test_one_label_map_of_several_cases_and_one_image_in_two_channels(make: Make, tmp_path: Path) -> None:
    made = make(3)
    first = made[0].label
    shared = Dataset.from_cases("x", [replace(case, label=first) for case in made], made.channels)
    told(shared, "error", "is that of 3 cases: c00, c01, c02")
    twice = [
        replace(case, images={"t1": next(iter(case.images.values())), "t2": next(iter(case.images.values()))})
        for case in made
    ]
    told(Dataset.from_cases("x", twice, ["t1", "t2"]), "warning", "two channels hold the same image in 3 cases")
    clean = find_problems(made, fingerprint(made))
    assert not any("same image" in p.what or "is that of" in p.what for p in clean)
