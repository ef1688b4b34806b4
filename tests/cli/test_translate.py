"""``voxloom translate`` and two annotators: landmarks travel to 3D Slicer and ITK-SNAP and back, and are compared."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from voxloom.cli.app import run
from voxloom.formats import write_volume
from voxloom.points import Point, read_points, write_points
from voxloom.volume import Volume

SPACING = 2.0


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two scans with two marked landmarks each, slices 4 mm apart."""
    affine = np.array([[4.0, 0, 0, -20], [0, SPACING, 0, -30], [0, 0, SPACING, -40], [0, 0, 0, 1]])
    for case, z in (("a", 10.0), ("b", 14.0)):
        write_volume(
            Volume(np.zeros((1, 10, 30, 40), np.float32), affine), tmp_path / "scans" / "images" / f"{case}.nii.gz"
        )
        marks = [Point("L1", "left", (-12.0, 4.0, z)), Point("L2", "right", (12.0, 5.0, z - 30))]
        write_points(marks, tmp_path / "scans" / "points" / f"{case}.csv", case)
    return tmp_path / "scans"


@pytest.mark.parametrize("ending", [".mrk.json", ".fcsv", ".nii.gz", ".csv"])
def test_points_come_back_from_every_format(scans: Path, tmp_path: Path, ending: str) -> None:
    there, back = tmp_path / "there ü", tmp_path / "back"
    grid = ["--scans", str(scans)] if ending == ".nii.gz" else []
    assert run(["translate", str(scans / "points"), "-o", str(there), "--to", ending, *grid]) == 0
    assert run(["translate", str(there), "-o", str(back), "--to", ".csv"]) == 0
    for case in ("a", "b"):
        given, found = (read_points(folder / f"{case}.csv", case) for folder in (scans / "points", back))
        assert [p.key for p in found] == [p.key for p in given]
        off = np.abs(np.subtract([p.position for p in found], [p.position for p in given]))
        assert off.max() <= (2.0 if ending == ".nii.gz" else 0), "a label map keeps half a voxel"


def test_what_cannot_be_translated_is_refused(scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points, out = str(scans / "points"), str(tmp_path / "out")
    assert run(["translate", points, "-o", out, "--to", ".nii.gz"]) == 2
    assert "needs the scans" in capsys.readouterr().err
    write_points([Point("L1", "left", (500.0, 0.0, 0.0))], scans / "points" / "a.csv", "a")
    assert run(["translate", points, "-o", out, "--to", ".nii.gz", "--scans", str(scans)]) == 2
    assert "outside the scan" in capsys.readouterr().err
    assert not Path(out).exists()


def test_two_annotators_by_distance_slices_and_what_is_missing(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "ben"
    write_points(
        [Point("L1", "left", (-12.0, 4.0, 13.0)), Point("L1", "left", (-8.0, 4.0, 13.0))], other / "a.mrk.json"
    )
    write_points([Point("L1", "left", (-4.0, 4.0, 14.0)), Point("L2", "right", (12.0, 5.0, -16.0))], other / "b.fcsv")
    asked = ["points", str(scans / "points"), str(other), "--scans", str(scans)]
    assert run([*asked, "-o", str(tmp_path / "agreement.csv"), "--json"]) == 0
    rows = {(r["case"], r["name"]): r for r in json.loads(capsys.readouterr().out)["landmarks"]}
    assert rows["a", "L1"]["distance"] == pytest.approx(np.hypot(2, 3))  # the mean of two marks
    assert (rows["a", "L1"]["slices_both"], rows["a", "L1"]["overlap"]) == (1, 0.5)
    assert rows["a", "L2"]["missing"] == "b"
    assert (rows["b", "L1"]["slices_both"], rows["b", "L1"]["overlap"]) == (0, 0)
    assert rows["b", "L2"]["distance"] == 0
    with (tmp_path / "agreement.csv").open(newline="") as f:
        assert len(list(csv.DictReader(f))) == 4
