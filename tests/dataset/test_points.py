"""Data sets bring their landmarks along: nnU-Net raw, tables and folder pairs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.formats import write_volume
from voxloom.phantom import write_phantoms
from voxloom.points import Key, Point, centers, read_points, write_points
from voxloom.volume import Volume

POINT = Point("L1", "left", (1.0, 2.0, 3.0))


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_volume(Volume(np.ones((1, 4, 5, 6), np.float32), np.eye(4)), path)


def test_phantoms_come_with_their_foramina(tmp_path: Path) -> None:
    data = Dataset(write_phantoms("lumbar-mr", 1, tmp_path / "lumbar"))
    points = data[0].read_points()
    assert {p.key for p in points} == {Key(f"L{n}", side) for n in range(1, 6) for side in ("left", "right")}
    assert data.task == "segmentation"
    assert data[0].points in data[0].source_files
    found = centers(points)
    for n in range(1, 6):
        assert found[Key(f"L{n}", "left")].position[0] < found[Key(f"L{n}", "right")].position[0]
    copy = Dataset(data.write_nnunet(tmp_path / "copy"))
    np.testing.assert_allclose([p.position for p in copy[0].read_points()], [p.position for p in points], atol=1e-4)


@pytest.mark.parametrize("kind", ["folder", "nnunet", "table", "column"])
def test_points_without_labels_make_a_set_of_landmarks(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "set é"
    names = {"nnunet": "imagesTr/a_0000.nii.gz", "folder": "images/a.nii.gz"}
    image(root / names.get(kind, "a.nii.gz"))
    if kind == "column":
        write_points([POINT], root / "marks" / "a.mrk.json")
        (root / "cases.csv").write_text("case,image,points\na,a.nii.gz,marks/a.mrk.json\n")
    else:
        write_points([POINT], root / "points" / "a.csv", "a")
    if kind == "table":
        (root / "cases.csv").write_text("case,image\na,a.nii.gz\n")
    data = Dataset(root)
    assert data.task == "landmarks"
    assert data["a"].read_points() == (POINT,)


def test_one_table_of_points_for_all_cases(tmp_path: Path) -> None:
    for case in "ab":
        image(tmp_path / "images" / f"{case}.nii.gz")
    (tmp_path / "points.csv").write_text("case,name,side,x,y,z\na,L1,left,1,2,3\nb,L2,,4,5,6\n")
    data = Dataset(tmp_path)
    assert data["a"].read_points() == (POINT,)
    assert data["b"].read_points() == (Point("L2", "", (4, 5, 6)),)


def test_points_of_no_case_and_double_points_are_refused(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.nii.gz")
    write_points([POINT], tmp_path / "points" / "b.csv", "b")
    with pytest.raises(BadInput, match="no image for the points of b"):
        Dataset(tmp_path)
    shutil.move(tmp_path / "points" / "b.csv", tmp_path / "points" / "a.csv")
    write_points([POINT], tmp_path / "points" / "a.mrk.json")
    with pytest.raises(BadInput, match="two files of points for a"):
        Dataset(tmp_path)
    assert read_points(tmp_path / "points" / "a.mrk.json") == (POINT,)


def test_a_point_file_that_is_gone_is_named(tmp_path: Path) -> None:
    image(tmp_path / "a.nii.gz")
    (tmp_path / "cases.csv").write_text("case,image,points\na,a.nii.gz,gone.csv\n")
    with pytest.raises(BadInput, match="gone.csv"):
        Dataset(tmp_path)
