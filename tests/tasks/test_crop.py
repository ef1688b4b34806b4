"""Runs that look at a crop: around masks of several raters, around a point; trained, evaluated, predicted, refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from voxloom.cli.app import run as voxloom
from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.evaluation.likeness import points_at
from voxloom.formats import read_volume, write_volume
from voxloom.tasks.whole_case.crop import cropped
from voxloom.tasks.whole_case.settings import CropSettings
from voxloom.verbs.run import Run
from voxloom.volume import Volume

pytestmark = pytest.mark.usefixtures("one_thread")
AFFINE = np.diag([2.0, 2, 2, 1])
SIZE = (24, 24, 12)


def write_set(root: Path, count: int, first: int = 0) -> Path:
    """Scans with a spot that is bright or dark, whose class only a crop shows: as many other spots say nothing."""
    rows = [["case", "image", "mask", "mask_b", "x", "y", "z", "target"]]
    for n in range(first, first + count):
        random = np.random.default_rng(n)
        image = random.normal(0, 0.1, SIZE).astype(np.float32)
        spots = random.permutation([(6, 6), (6, 17), (17, 6), (17, 17)])
        for k, (i, j) in enumerate(spots):
            value = (2 if n % 2 else -2) if k == 0 else random.choice([-2, 2])
            image[i - 2 : i + 3, j - 2 : j + 3, 4:8] += value
        i, j = spots[0]
        for name, half in (("m", slice(4, 6)), ("b", slice(6, 8))):
            drawn = np.zeros(SIZE, np.uint8)
            drawn[i - 2 : i + 3, j - 2 : j + 3, half] = 1
            write_volume(Volume(drawn[None], AFFINE), root / f"{name}{n}.nii.gz")
        write_volume(Volume(image[None], AFFINE), root / f"s{n}.nii.gz")
        rows.append(
            [f"s{n}", f"s{n}.nii.gz", f"m{n}.nii.gz", f"b{n}.nii.gz", 2 * i, 2 * j, 11, "hot" if n % 2 else "cold"]
        )
    with (root / "cases.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root / "cases.csv"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("data"), 16)


CROPS = {
    "mask": {"masks": ["mask", "mask_b"], "margin_mm": 2.0},
    "point": {"around": "point", "columns": ["x", "y", "z"], "size_mm": [14, 14, 12]},
}


def test_the_union_of_the_raters_is_cut(data: Path) -> None:
    case = Dataset(data).cases[0]
    settings = CropSettings(masks=("mask", "mask_b"), margin_mm=2.0)
    box = cropped(case, settings)
    assert box.read_image().shape == (7, 7, 6)
    assert cropped(box, settings) is box
    assert cropped(case, CropSettings()).read_image().shape == (5, 5, 2)
    assert cropped(case, CropSettings(masks=("mask_b",))).read_image().shape == (5, 5, 2)
    with pytest.raises(BadInput, match="none of the masks mask_c"):
        cropped(case, CropSettings(masks=("mask_c",)))
    with pytest.raises(BadInput, match="no value in column w"):
        cropped(case, CropSettings(around="point", columns=("w", "y", "z"), size_mm=(4, 4, 4)))
    with pytest.raises(BadInput, match="has 0 points to crop around"):
        cropped(case, CropSettings(around="point", size_mm=(4, 4, 4)))


@pytest.mark.parametrize("around", CROPS)
def test_a_crop_is_trained_and_predicted(
    around: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "unseen").mkdir()
    unseen, run = write_set(tmp_path / "unseen", 4, 50), str(tmp_path / "run")
    keys = {
        "task": "classification", "device": "cpu", "folds.hold_out": 0.25, "training.steps": 30, "training.batch": 4,
        "training.validations": 2, "training.learning_rate": 0.01, "network.features": [4, 8, 8],
        "prepare.normalize": ["none"], "classification.crop": CROPS[around],
    }  # fmt: skip
    told = [part for key, value in keys.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    assert voxloom(["train", str(data), "-o", run, *told]) == 0
    assert voxloom(["evaluate", run, str(unseen)]) == 0
    tested = json.loads((tmp_path / "run" / "summary.json").read_text())["test"]
    assert tested["accuracy"]["all"]["value"] == 1.0
    assert voxloom(["show", "results", run, "-o", str(tmp_path / "show.png")]) == 0
    assert voxloom(["stress", run, str(unseen), "--only", "crop", "--cases", "2", "-o", str(tmp_path / "stress")]) == 0
    scan, out = str(tmp_path / "unseen" / "s50.nii.gz"), str(tmp_path / "out")
    capsys.readouterr()
    assert voxloom(["predict", run, scan, "-o", out]) == 2
    assert f"looks at a crop around a {around}" in capsys.readouterr().err
    points = tmp_path / "s50.csv"
    row = next(csv.DictReader(unseen.open()))
    points.write_text(f"case,name,side,x,y,z\ns50,spot,,{row['x']},{row['y']},{row['z']}\n")
    place = str(tmp_path / "unseen" / "m50.nii.gz") if around == "mask" else str(points)
    assert voxloom(["predict", run, scan, "-o", out, "--around", place, "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)["features"]["s50"]
    assert compared["distance"] > 0, "the crop is compared with those of the training"
    assert compared["unlike"] is None, "four held-out patients cannot tell one of 100"
    assert voxloom(["shift", run, str(unseen), "--json"]) == 0
    assert "a scan alone does not say where" in json.loads(capsys.readouterr().out)["why"]
    assert json.loads((tmp_path / "out" / "s50.json").read_text())["prediction"] == "cold"
    kept = Run(run)
    assert kept.predict(scan, around=place).prediction == "cold"
    assert [answer.prediction for answer in kept.predict([scan], around=[place])] == ["cold"]
    with pytest.raises(BadInput, match="1 masks or points are given for 2 scans"):
        kept.predict([scan, scan], around=place)
    words = ["explain", run, scan, "-o", str(tmp_path / "maps"), "--method", "occlusion", "--answer", "cold"]
    capsys.readouterr()
    assert voxloom(words) == 2
    assert f"looks at a crop around a {around}" in capsys.readouterr().err
    assert voxloom([*words, "--around", place]) == 0
    found = read_volume(tmp_path / "maps" / "s50_occlusion_cold.nii.gz")
    assert found.same_grid(read_volume(scan))
    i, j = round(float(row["x"]) / 2), round(float(row["y"]) / 2)
    near = np.zeros(SIZE, bool)
    near[i - 3 : i + 4, j - 3 : j + 4] = True
    assert points_at(found.data[0], near)
    assert not found.data[0][: max(0, i - 5)].any(), "nothing outside the box was seen"
    two = str(tmp_path / "unseen" / "s51.nii.gz")
    assert voxloom(["predict", run, scan, two, "-o", str(tmp_path / "two"), "--around", place]) == 2
    assert "one file is given for 2 scans" in capsys.readouterr().err
