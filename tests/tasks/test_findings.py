"""Several findings per case: trained, predicted, scored, calibrated and compared, each as a question of its own."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from voxloom.cli.app import run as voxloom
from voxloom.formats import write_volume
from voxloom.tasks.task import task_named
from voxloom.volume import Volume

pytestmark = pytest.mark.usefixtures("one_thread")


def write_set(root: Path, count: int, first: int = 0) -> Path:
    """A bright spot at the left is one finding, one at the right the other; some are not known."""
    root.mkdir(exist_ok=True)
    rows = [["id", "image", "left", "right"]]
    for n in range(first, first + count):
        image = np.random.default_rng(n).normal(0, 0.2, (12, 12, 8)).astype(np.float32)
        left, right = n % 2, n // 2 % 2
        image[1:5, 4:8, 2:6] += 3 * left
        image[8:12, 4:8, 2:6] -= 3 * right
        write_volume(Volume(image[None], np.diag([2.0, 2, 2, 1])), root / f"s{n}.nii.gz")
        rows.append([f"s{n}", f"s{n}.nii.gz", str(left), "" if n % 7 == 6 else str(right)])
    with (root / "cases.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root / "cases.csv"


@pytest.mark.drawn
def test_findings_from_a_table_to_figures(tmp_path: Path) -> None:
    data, unseen, run = write_set(tmp_path / "data", 20), write_set(tmp_path / "new", 6, 40), str(tmp_path / "run")
    keys = {
        "task": "classification", "device": "cpu", "folds.hold_out": 0.4, "training.steps": 100, "training.batch": 4,
        "training.validations": 2, "training.learning_rate": 0.01, "network.features": [4, 8, 8], "prepare.normalize": ["none"],
        "classification.target": ["left", "right"], "classification.multi_label": True, "classification.loss": "focal",
        "classification.class_weights": "balanced",
    }  # fmt: skip
    told = [part for key, value in keys.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    assert voxloom(["train", str(data), "-o", run, "--external", str(unseen), *told]) == 0
    kept = json.loads((tmp_path / "run" / "summary.json").read_text())
    for figures in (kept["validation"], kept["external"]["cases"]):
        assert figures["findings"] == ["left", "right"]
        assert figures["auc"]["left"]["value"] > 0.9
        assert figures["auc"]["right"]["value"] > 0.9
    assert set(kept["calibration"]["findings"]) == {"left", "right"}
    task = task_named("classification")
    assert task.sweep_scores(kept, "accuracy.left")["score"] == kept["validation"]["accuracy"]["left"]["value"]
    assert task.sweep_scores(kept, "auc")["score"] == kept["validation"]["auc"]["all"]["value"]
    assert voxloom(["predict", run, str(tmp_path / "new" / "s41.nii.gz"), "-o", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "s41.json").read_text())
    assert found["probabilities"]["left"] > 0.5
    assert found["probabilities"]["left"] > found["probabilities"]["right"]
    assert set(found["possible"]) >= {"left"}
    assert voxloom(["compare", run, run + "/fold_0", "-o", str(tmp_path / "compare")]) == 0
    assert voxloom(["calibrate", run]) == 0
    assert voxloom(["show", "results", run, "-o", str(tmp_path / "show.png")]) == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Findings of external cases of cases" in page
    assert "right: ROC and precision-recall curves" in page
