"""Points survive every file they travel in, and broken files are refused with the row or the reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxloom.errors import BadInput
from voxloom.formats import read_label, write_volume
from voxloom.points import (
    Key,
    Point,
    centers,
    fiducial_map,
    label_centroids,
    points_of_map,
    read_points,
    write_fiducial_map,
    write_points,
)
from voxloom.volume import Volume

MARKS = (
    Point("L1", "left", (-20.5, 3.25, 40.0)),
    Point("L1", "left", (-24.5, 3.75, 40.5)),
    Point("L1", "right", (21.0, 2.0, 41.0)),
    Point("S1", "", (0.0, -7.125, -60.0)),
)


@pytest.mark.parametrize("name", ["punkte ü.csv", "a b.mrk.json", "c.fcsv"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    path = write_points(MARKS, tmp_path / name, "case 1")
    assert read_points(path, "case 1") == MARKS


def test_markups_are_lps_and_ras_is_understood(tmp_path: Path) -> None:
    path = write_points(MARKS, tmp_path / "a.mrk.json")
    content = json.loads(path.read_text())
    control = content["markups"][0]["controlPoints"][0]
    assert control["position"] == [20.5, -3.25, 40.0]
    assert control["label"] == "L1 left"
    content["markups"][0]["coordinateSystem"] = "RAS"
    content["markups"][0]["controlPoints"][1]["positionStatus"] = "undefined"
    path.write_text(json.dumps(content))
    assert [p.position for p in read_points(path)] == [(20.5, -3.25, 40.0), (-21.0, -2.0, 41.0), (-0.0, 7.125, -60.0)]


@pytest.mark.parametrize(("system", "x"), [("LPS", 10.0), ("0", -10.0), ("RAS", -10.0), ("1", 10.0)])
def test_fcsv_of_both_generations(tmp_path: Path, system: str, x: float) -> None:
    text = (
        f"# Markups fiducial file version = 4.11\n# CoordinateSystem = {system}\n"
        "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
        "1,-10,5,7,0,0,0,1,1,1,0,L3_R,,\n"
    )
    path = tmp_path / "a.fcsv"
    path.write_text(text)
    (point,) = read_points(path)
    assert point.key == Key("L3", "right")
    assert point.position == (x, 5.0 if x < 0 else -5.0, 7.0)


def test_one_table_serves_several_cases(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("case,name,side,x,y,z,confidence\na,L1,L,1,2,3,0.5\nb,L1,,4,5,6,\n")
    assert read_points(path, "a") == (Point("L1", "left", (1, 2, 3), 0.5),)
    assert read_points(path, "b") == (Point("L1", "", (4, 5, 6)),)
    assert len(read_points(path)) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,x,y\nL1,1,2\n", "no column z"),
        ("name,side,x,y,z\nL1,left,1,2,three\n", "row 2 holds no number"),
        ("name,side,x,y,z\nL1,left,1,2,nan\n", "row 2: point L1 lies at"),
        ("name,side,x,y,z\nL1,up,1,2,3\n", "row 2: side 'up'"),
        ("name,side,x,y,z\n,left,1,2,3\n", "row 2: a point has no name"),
    ],
)
def test_broken_tables_name_the_row(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=says):
        read_points(path)


@pytest.mark.parametrize(("name", "text"), [("a.mrk.json", "[]"), ("a.mrk.json", "{"), ("a.fcsv", "1,2,3\n")])
def test_files_of_another_kind_are_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput, match="again"):
        read_points(tmp_path / name)
    with pytest.raises(BadInput, match="no such file"):
        read_points(tmp_path / "absent.csv")


def oblique() -> Volume:
    turn = np.array([[0.0, -1.2, 0.3], [0.9, 0.2, 0.1], [0.1, 0.4, 4.0]])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn, (10, -20, 30)
    return Volume(np.zeros((1, 30, 40, 12), np.uint8), affine)


def test_fiducial_maps_keep_points_to_half_a_voxel(tmp_path: Path) -> None:
    grid = oblique()
    at = [(3, 4, 5), (3, 9, 5), (20, 30, 2)]
    points = [Point("L1", "left", tuple((grid.affine @ [*v, 1.0])[:3])) for v in at[:2]]  # two marks of one landmark
    points.append(Point("S1", "", tuple((grid.affine @ [*at[2], 1.0])[:3])))
    map_path, names = write_fiducial_map(points, grid, tmp_path / "fiducials.nii.gz")
    assert names.name == "fiducials.labels.txt"
    again = read_points(map_path)
    assert [p.key for p in again] == [p.key for p in points]
    np.testing.assert_allclose([p.position for p in again], [p.position for p in points], atol=1e-3)


def test_points_that_no_map_can_hold_are_refused() -> None:
    grid = oblique()
    far = Point("L1", "", (1000.0, 0.0, 0.0))
    here = tuple((grid.affine @ [3, 4, 5, 1.0])[:3])
    with pytest.raises(BadInput, match="outside the scan"):
        fiducial_map([far], grid)
    with pytest.raises(BadInput, match="shares a voxel"):
        fiducial_map([Point("L1", "", here), Point("L2", "", here)], grid)


def test_a_real_fiducial_map(data_dir: Path) -> None:
    path = data_dir / "spine-t2" / "labels.nii.gz"
    volume = read_label(path)
    points = read_points(path)
    assert [p.name for p in points] == ["3", "5"]
    np.testing.assert_allclose(points[0].position, (volume.affine @ [31, 44, 26, 1])[:3], atol=1e-4)
    assert points[0].position[2] > points[1].position[2]  # C3 lies above C5
    named = points_of_map(volume, {3: "C3", 5: "C5"})
    assert [str(p.key) for p in named] == ["C3", "C5"]


def test_label_centroids_are_centers_of_mass(tmp_path: Path) -> None:
    grid = oblique()
    data = np.zeros((1, 30, 40, 12), np.uint8)
    data[0, 5:8, 10:13, 2:5], data[0, 20, 20, 6] = 2, 7
    volume = grid.with_data(data)
    write_volume(volume, tmp_path / "l.nii.gz")
    found = label_centroids(volume, {2: "L4", 3: "absent", 7: "L1 right"})
    assert [p.key for p in found] == [Key("L4"), Key("L1", "right")]
    np.testing.assert_allclose(found[0].position, (grid.affine @ [6, 11, 3, 1])[:3])


def test_centers_average_the_marks_of_a_landmark() -> None:
    found = centers([*MARKS, Point("T12", "", (0, 0, 0), 0.25), Point("T12", "", (2, 0, 0), 0.75)])
    assert found[Key("L1", "left")].position == (-22.5, 3.5, 40.25)
    assert found[Key("L1", "left")].confidence is None
    assert found[Key("T12")] == Point("T12", "", (1, 0, 0), 0.5)


@pytest.mark.parametrize(("units", "mm"), [("mm", 1.0), ("um", 1e-3), (["cm", "cm", "cm"], 10.0), (None, 1.0)])
def test_markups_have_units(units: object, mm: float, tmp_path: Path) -> None:
    markups = {"coordinateSystem": "LPS", "controlPoints": [{"label": "L1 left", "position": [10.0, 20.0, 30.0]}]}
    path = tmp_path / "a.mrk.json"
    path.write_text(json.dumps({"markups": [{**markups, **({} if units is None else {"coordinateUnits": units})}]}))
    assert read_points(path)[0].position == pytest.approx((-10 * mm, -20 * mm, 30 * mm))


@pytest.mark.parametrize("units", ["furlong", ["mm", "mm", "um"]])
def test_markups_in_other_units_are_refused(units: object, tmp_path: Path) -> None:
    path = tmp_path / "a.mrk.json"
    path.write_text(
        json.dumps({"markups": [{"coordinateUnits": units, "controlPoints": [{"label": "a", "position": [1, 2, 3]}]}]})
    )
    with pytest.raises(BadInput, match="unit"):
        read_points(path)
