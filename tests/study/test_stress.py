"""A run under stress: known models break where they must, real runs are tested on cases they never saw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxloom.cli.app import run as voxloom
from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.evaluation.stress import stresses_named
from voxloom.tasks.segmentation.stress import STRESS
from voxloom.verbs.stress import StressRow, curves, evenly, stress_case, stress_run
from voxloom.volume import Volume

from .conftest import Trained, write_balls


class Threshold:
    """Bright is label 3, dark is label 207; noise and scaling deceive it, rotation does not."""

    def predict(self, source: Volume) -> Volume:
        image = source.data
        return source.with_data(np.where(image > 140, 3, np.where(image < 65, 207, 0)).astype(np.uint8))


def test_a_model_breaks_where_it_must(tmp_path: Path) -> None:
    dataset = Dataset(write_balls(tmp_path / "balls", 3))
    stresses = stresses_named("noise,rotation,intensity")
    assert dataset.labels is not None
    rows = [
        r for c in dataset for block in stress_case(STRESS, Threshold(), c, dataset.labels, stresses, 0) for r in block
    ]
    assert len(rows) == 3 * 2 * (1 + 3 * 4)
    found = {c.stress: c for c in curves(rows, stresses)}
    assert found["noise"].first_bad is not None
    assert found["intensity"].first_bad == 1  # 20 % brighter is 5 points at once
    assert found["noise"].means[0].value > 0.95
    assert "points lost at" in found["noise"].sentence()
    repeated = [
        r for c in dataset for block in stress_case(STRESS, Threshold(), c, dataset.labels, stresses, 0) for r in block
    ]
    assert repeated == rows


def test_first_level_of_five_points() -> None:
    stress = stresses_named("noise")[0]
    falls = {"": 0.90, "0.1": 0.88, "0.25": 0.851, "0.5": 0.85, "1": 0.2}
    rows = [StressRow("noise" if lv else "", lv, c, c, "a", d) for lv, d in falls.items() for c in ("p", "q")]
    curve = curves(rows, [stress])[0]
    assert curve.first_bad == 3
    assert curve.levels == ("as is", "0.1", "0.25", "0.5", "1")
    held = curves([StressRow(r.stress, r.level, r.case, r.patient, "a", 0.9) for r in rows], [stress])[0]
    assert held.first_bad is None
    assert held.sentence() == "Noise: no fall by 5 points up to 1 SD of the image."


def test_cases_are_spread_evenly() -> None:
    names = [f"{n:02d}" for n in range(20)]
    assert evenly(names, 3) == {"00", "10", "19"}
    assert evenly(names, 0) == evenly(names, 99) == set(names)


def test_command_on_held_out_cases_and_on_unseen_ones(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    out = trained.data.parent / "stress out"
    line = ["stress", str(trained.run.folder), "--only", "noise,slices", "--cases", "4", "-o", str(out), "--json"]
    assert voxloom(line) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["cases"] == 4
    held = {row.case: row.metrics.dice for row in trained.run.evaluate().evaluation.rows if row.label == "bright"}
    lines = (out / "stress.csv").read_text().splitlines()[1:]
    as_is = {
        cells[2]: float(cells[5])
        for cells in (line.split(",") for line in lines)
        if cells[4] == "bright" and not cells[0]
    }
    assert len(as_is) == 4
    for case, dice in as_is.items():
        assert dice == pytest.approx(held[case])  # predicted by the fold that never saw the case
    assert {p.name for p in (out / "figures").iterdir()} == {
        f"stress_{n}.{e}" for n in ("noise", "slices") for e in ("svg", "png")
    }
    assert "Robustness curves" in (out / "stress.html").read_text("utf-8")
    assert voxloom([*line[:1], str(trained.run.folder), str(trained.unseen), "--only", "crop", "--cases", "2"]) == 0
    assert (trained.run.folder / "stress" / "stress.html").is_file()


def test_training_cases_are_refused(trained: Trained) -> None:
    with pytest.raises(BadInput, match="have the same image file"):
        stress_run(trained.run.folder, trained.data, stresses_named("noise"))
    assert voxloom(["stress", str(trained.run.folder), "--only", "nose"]) == 2
