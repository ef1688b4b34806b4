"""The documented path, all through the command line: DICOM archive -> index -> select -> train -> predict -> evaluate -> compare.

``docs/lumbar-study.md`` walks it with phantoms of full size. Here they are small, so the two rules of the paper about resolution are
loosened; the shipped rules themselves are run on the same archive and must leave nothing for just that reason.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from voxloom.archive.rules import shipped_rules_text
from voxloom.cli.app import run as voxloom
from voxloom.dataset import Dataset
from voxloom.points import read_points

TINY = {
    "prepare.spacing": "[5,5,null]",
    "training.patch": "[57,57,3]",
    "training.batch": "4",
    "training.steps": "240",
    "training.learning_rate": "0.01",
    "training.validations": "1",
    "training.foreground": "0.9",
    "training.ema": "0.9",
    "landmarks.channels": "8",
    "landmarks.dropout": "0",
    "augment.rotation_chance": "0",
    "augment.elastic_chance": "0",
    "folds.hold_out": "0",
}


def done(*arguments: object) -> None:
    """Run a command that must succeed."""
    assert voxloom([str(a) for a in arguments]) == 0, arguments


def attachments(phantom: Path) -> Path:
    """The table that tells select whose points are whose: PatientID and points."""
    with (phantom / "participants.csv").open(newline="") as f:
        rows = [(row["patient"], f"points/{row['case']}.csv") for row in csv.DictReader(f)]
    table = phantom / "attach.csv"
    table.write_text("PatientID,points\n" + "".join(f"{a},{b}\n" for a, b in rows))
    return table


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lumbar path é")
    rules = shipped_rules_text("foramina").replace("{min: 350}", "{min: 250}").replace("{max: 0.84}", "{max: 3}")
    (root / "rules.yaml").write_text(rules)
    for name, count, seed in (("train", 7, 11), ("test", 3, 12)):
        phantom, archive = root / f"{name}_phantom", root / f"{name}.parquet"
        done("phantom", "lumbar-mr", "-n", count, "--seed", seed, "--difficulty", 0.2, "--dicom", "-o", phantom)
        done("index", phantom / "imagesTr", "-o", archive, "--workers", 1)
        table = attachments(phantom)
        chosen = ["select", archive, "-r", root / "rules.yaml", "--attach", table, "--key", root / "study.key"]
        done(*chosen, "-o", root / name, "--workers", 1)
    tiny = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    for name, recipe in (("multinet", "foramina-multinet-lowres"), ("singlenet", "foramina-singlenet")):
        done("train", root / "train", "-r", recipe, "-o", root / name, *tiny)
        scans = sorted((root / "test" / "images").glob("*.nii.gz"))
        done("predict", root / name, *scans, "-o", root / f"{name}_points")
        done("evaluate", root / name, root / "test")
    return root


def test_the_rules_leave_the_t1_series_and_say_how_many(walked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (walked / "train" / "selection" / "flow.csv").open(newline="") as f:
        flow = {row["rule"]: int(row["series"]) for row in csv.DictReader(f)}
    with (walked / "train_phantom" / "participants.csv").open(newline="") as f:
        t1 = sum(row["weighting"] == "T1" for row in csv.DictReader(f))
    assert flow["all"] == 7
    assert flow["sagittal T1"] == t1 == len(Dataset(walked / "train"))
    assert 3 <= t1 < 7
    done("select", walked / "train.parquet", "-r", "foramina", "--dry-run", "--json")
    steps = {step["name"]: step["series"] for step in json.loads(capsys.readouterr().out)["steps"]}
    assert steps["slices 3 to 5 mm apart"] == t1
    assert steps["at least 500 x 500 at 0.7 mm"] == 0


def test_points_come_along_under_pseudonyms(walked: Path) -> None:
    data = Dataset(walked / "train")
    assert not any("LUMBAR" in case.patient or "LUMBAR" in case.id for case in data)
    for case in data:
        image, points = case.read_image(), case.read_points()
        assert {p.name for p in points} == {"L1", "L2", "L3", "L4", "L5"}
        voxels = np.array([np.linalg.inv(image.affine) @ [*p.position, 1.0] for p in points])[:, :3]
        assert (voxels > -0.5).all()
        assert (voxels < np.array(image.shape) - 0.5).all()


def test_both_networks_find_foramina_on_scans_of_other_people(walked: Path) -> None:
    true = sum(len(case.read_points()) for case in Dataset(walked / "test"))
    for name in ("multinet", "singlenet"):
        figures = json.loads((walked / name / "summary.json").read_text())["test"]
        assert figures["all"]["points"] == true
        assert figures["all"]["recall"] > 0.3, (name, figures["all"])
        assert figures["all"]["in_plane_median"] < 5, (name, figures["all"])
        predicted = read_points(next((walked / f"{name}_points").glob("*.csv")))
        assert all(p.confidence is not None for p in predicted)
        assert "Landmarks of test cases" in (walked / name / "report.html").read_text()


def test_the_two_are_compared_and_joined(walked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b, truth = walked / "multinet_points", walked / "singlenet_points", walked / "test" / "points"
    done("points", a, b, "--truth", truth, "--json")
    said = json.loads(capsys.readouterr().out)
    test = said["mcnemar"]
    assert sum(test[k] for k in ("both", "only_a", "only_b", "neither")) == said["a"]["all"]["points"]
    assert 0 < test["p"] <= 1
    done("combine", a, b, "-o", walked / "joined")
    done("points", walked / "joined", a, "--truth", truth, "--json")
    joined = json.loads(capsys.readouterr().out.split("\n", 2)[2])
    assert joined["a"]["all"]["missed"] <= said["a"]["all"]["missed"]
    assert voxloom(["combine", str(a), str(b), "-o", str(walked / "joined")]) == 2
