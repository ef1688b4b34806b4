"""Abstention on landmarks: one confidence in the report and at ``predict``, and an option there; |dx| has one definition."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxloom.cli.app import run as voxloom
from voxloom.evaluation.point_tests import LEAST_SLOPE, calibrate
from voxloom.evaluation.points import slice_axis, slice_normal
from voxloom.points import Point, read_points, write_points
from voxloom.tasks.landmarks.predictor import LandmarkPredictor
from voxloom.verbs.run import Run

from .test_landmarks import RECIPE, write_scans


@pytest.fixture(scope="module")
def careful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that abstains, trained too briefly to be sure."""
    root = tmp_path_factory.mktemp("careful")
    write_scans(root / "scans", 6)
    text = RECIPE.replace("steps: 60", "steps: 25").replace("radius: 6.0,", "radius: 6.0, abstain: 0.6,")
    (root / "careful.yaml").write_text(text)
    assert voxloom(["train", str(root / "scans"), "-r", str(root / "careful.yaml"), "-o", str(root / "run")]) == 0
    return root


def outcome(careful: Path) -> tuple[dict, list[str]]:
    summary = json.loads((careful / "run" / "summary.json").read_text())["validation"]
    held_out = sorted(p.stem for p in (careful / "run" / "fold_0" / "predictions").glob("*.csv"))
    return summary, held_out


def test_the_report_abstains_as_predict_does(careful: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary, held_out = outcome(careful)
    scans = [str(careful / "scans" / "images" / f"{case}.nii.gz") for case in held_out]
    capsys.readouterr()
    assert voxloom(["predict", str(careful / "run"), *scans, "-o", str(tmp_path / "out"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["abstain"] == 0.6
    for case in held_out:
        kept = careful / "run" / "fold_0" / "predictions" / f"{case}.csv"
        assert read_points(tmp_path / "out" / f"{case}.csv", case) == read_points(kept, case)
    left_out = sum(len(points) for points in told.get("left_out", {}).values())
    assert summary["abstained"] == {"below": 0.6, "points": left_out}
    predictor = LandmarkPredictor.of(Run(careful / "run"))
    raw = sum(len(predictor.raw_points(scan)) for scan in scans)
    assert raw == left_out + sum(len(read_points(tmp_path / "out" / f"{c}.csv", c)) for c in held_out)
    learned = json.loads((careful / "run" / "calibration.json").read_text())
    assert learned["points"] == raw  # points that were left out are calibrated on too
    assert learned["slope"] >= LEAST_SLOPE


def test_the_option_decides(careful: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan = str(write_scans(tmp_path / "new", 1, first=50) / "images" / "s50.nii.gz")
    capsys.readouterr()
    found = {}
    for least in ("0", "1"):
        line = ["predict", str(careful / "run"), scan, "-o", str(tmp_path / least), "--abstain", least]
        assert voxloom([*line, "--json"]) == 0
        found[least] = json.loads(capsys.readouterr().out)
    every = read_points(tmp_path / "0" / "s50.csv", "s50")
    assert every
    assert "left_out" not in found["0"]
    named = {(p["name"], p["side"]) for p in found["1"]["left_out"]["s50"]}
    assert named == {(p.name, p.side) for p in every}
    assert voxloom(["predict", str(careful / "run"), scan, "-o", str(tmp_path / "1x"), "--abstain", "1"]) == 0
    assert "s50: left out as not sure enough: " in capsys.readouterr().err
    page = (careful / "run" / "report.html").read_text()
    assert "below 0.6 and were left out" in page


def test_a_calibration_keeps_the_order_of_confidences() -> None:
    all_right = calibrate([0.5, 0.9, 0.99], [True] * 3)
    assert all_right.slope == 1.0
    assert all_right(0.5) < all_right(0.9) < all_right(0.99)
    all_wrong = calibrate([0.5, 0.9], [False] * 2)
    assert all_wrong(0.5) < all_wrong(0.9) < 0.5
    upside_down = calibrate([0.2, 0.3, 0.8, 0.9] * 5, [True, True, False, False] * 5)
    assert upside_down.slope == pytest.approx(LEAST_SLOPE)
    assert upside_down(0.3) < upside_down(0.8)


def test_slices_have_one_direction() -> None:
    oblique = np.eye(4)
    turn = np.deg2rad(20)
    oblique[:3, :3] = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]) * [
        4,
        1,
        1,
    ]
    assert slice_axis(oblique) == 0
    assert slice_normal(oblique) == pytest.approx((np.cos(turn), np.sin(turn), 0))
    cubes = np.diag([1.0, 1.0, -1.0, 1.0])[:, [1, 2, 0, 3]]
    assert slice_normal(cubes) == (1.0, 0.0, 0.0)
    assert abs(cubes[0, slice_axis(cubes)]) == 1.0


def axial_set(root: Path) -> Path:
    """Two axial scans, slices of 5 mm along the body, with points."""
    from voxloom.formats import write_volume
    from voxloom.volume import Volume

    for n in range(2):
        data = np.zeros((1, 20, 20, 10), np.float32)
        write_volume(Volume(data, np.diag([1.0, 1.0, 5.0, 1.0])), root / "images" / f"s{n}.nii.gz")
        points = [Point("L1", side, (x, 10.0, 30.0)) for side, x in (("left", 5.0), ("right", 15.0))]
        write_points(points, root / "points" / f"s{n}.csv", f"s{n}")
    return root


@pytest.mark.parametrize("how", ["set", "points", "scans"])
def test_points_measure_across_the_slices_as_evaluate_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    root = axial_set(tmp_path / "set")
    for n in range(2):
        moved = [Point("L1", side, (x + 2.0, 10.0, 36.0), 0.9) for side, x in (("left", 5.0), ("right", 15.0))]
        for name in "ab":
            write_points(moved, tmp_path / name / f"s{n}.csv", f"s{n}")
    alone = tmp_path / "points.d"
    alone.mkdir()
    for path in (root / "points").iterdir():
        (alone / path.name).write_bytes(path.read_bytes())
    where = {"set": ["--truth", str(root)], "points": ["--truth", str(root / "points")]}
    options = where.get(how, ["--truth", str(alone), "--scans", str(root)])
    assert voxloom(["points", str(tmp_path / "a"), str(tmp_path / "b"), *options, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["a"]["all"]["dx_mean"] == pytest.approx(6.0)
    assert told["a"]["all"]["in_plane_mean"] == pytest.approx(2.0)
    assert "across the slices" in told["across"]
    if how == "scans":
        assert voxloom(["points", str(tmp_path / "a"), str(tmp_path / "b"), "--truth", str(alone), "--json"]) == 0
        blind = json.loads(capsys.readouterr().out)
        assert blind["a"]["all"]["dx_mean"] == pytest.approx(2.0)
        assert "left-right axis, since no scan is known" in blind["across"]
