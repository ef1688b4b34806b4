"""Uncertainty by source, calibration on held-out cases, and the order of annotation, on one small run."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from voxloom.cli.app import run as voxloom
from voxloom.dataset.tables import read_table
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation
from voxloom.evaluation.quality.features import DISAGREEMENT, FEATURES
from voxloom.formats import read_label, read_volume
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.tasks.segmentation.tta import with_tta
from voxloom.trust import quality
from voxloom.trust.uncertainty import Sampling, default_sources
from voxloom.verbs.run import Run

from .conftest import Trained


@dataclass(frozen=True)
class Calibrated:
    """A calibrated copy of the trained run, what calibration asked of whom, and unseen scans."""

    run: Run
    unseen: Path
    asked: list[tuple[int, list[str], str]]


@pytest.fixture(scope="module")
def calibrated(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Calibrated:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("quality é") / "run"
    shutil.copytree(trained.run.folder, folder)
    asked: list[tuple[int, list[str], str]] = []
    original = quality.scan_disagreement

    def watched(predictors, scan, sampling):
        asked.append((len(predictors[0].members), list(sampling.sources), str(scan.meta.get("source"))))
        return original(predictors, scan, sampling)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quality, "scan_disagreement", watched)
        assert voxloom(["calibrate", str(folder)]) == 0
    torch.set_num_threads(before)
    return Calibrated(Run(folder), trained.unseen, asked)


def test_calibration_sees_held_out_cases_alone(calibrated: Calibrated) -> None:
    """Every case once, by one network, the one that held it out; figures are those of metrics.csv."""
    folder = calibrated.run.folder
    assert [(count, sources) for count, sources, _ in calibrated.asked] == [(1, ["tta"])] * 10
    rows = {row["case"]: row for row in read_table(folder / "quality.csv")}
    assert len(rows) == 10
    for fold in calibrated.run.folds:
        for case, dice in Evaluation.read_csv(fold.held_out.table).case_means("dice").items():
            assert rows[case]["true_dice"] == pytest.approx(dice)
            alone = Predictor.from_folds([fold.folder])
            with quality.scan_disagreement([alone], _scan(calibrated, case), Sampling(("tta",))) as (found, count):
                assert count == 5
                expected = found.figures()["entropy"]
            assert rows[case]["entropy"] == pytest.approx(np.log(expected / (1 - expected)), abs=1e-3)
            break
    about = json.loads((folder / "quality.json").read_text())
    assert about["model"]["patients"] == 10
    assert about["model"]["margin"] is not None
    assert "For at least 90 % of new patients like the 10 of calibration" in (folder / "report.html").read_text()


def _scan(calibrated: Calibrated, case: str):
    files = next(c["files"] for c in calibrated.run.data["cases"] if c["id"] == case)
    return read_volume(next(path for path in files if "imagesTr" in path))


def test_predict_says_what_a_case_is_worth(calibrated: Calibrated, tmp_path: Path, capsys) -> None:
    scans = calibrated.unseen / "imagesTr"
    assert voxloom(["predict", str(calibrated.run.folder), str(scans), "-o", str(tmp_path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    rows = read_table(tmp_path / "quality.csv")
    assert [row["case"] for row in rows] == [f"ball{n:02d}" for n in range(10, 14)]
    assert all(0 <= row["bound"] < row["predicted_dice"] <= 1 for row in rows)
    assert all(np.isfinite([row[name] for name in FEATURES]).all() for row in rows)
    assert [row["bound"] for row in printed["quality"]] == pytest.approx([row["bound"] for row in rows])
    bare = tmp_path / "bare"
    assert voxloom(["predict", str(calibrated.run.folder), str(scans), "-o", str(bare), "--no-quality"]) == 0
    assert not (bare / "quality.csv").exists()


def test_tta_in_prediction_changes_no_feature(calibrated: Calibrated) -> None:
    """Features must be those of calibration, whatever ``--tta`` does to the label map."""
    predictor = with_tta(Predictor.of(calibrated.run))
    assert len(predictor.looks) == 5
    network = quality.Quality.of(calibrated.run, predictor).reader.networks[0]
    assert (network.looks, network.inference.mirror) == ((), ())


def test_a_calibration_by_other_views_is_refused(calibrated: Calibrated, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(calibrated.run.folder, folder)
    about = json.loads((folder / "quality.json").read_text())
    del about["members"]["views"]  # as an earlier version wrote it
    (folder / "quality.json").write_text(json.dumps(about))
    with pytest.raises(BadInput, match="Calibrate it again"):
        quality.Quality.of(Run(folder), Predictor.of(Run(folder)))


def test_evaluation_reports_the_coverage(calibrated: Calibrated) -> None:
    folder = calibrated.run.folder
    assert voxloom(["evaluate", str(folder), str(calibrated.unseen)]) == 0
    figures = json.loads((folder / "summary.json").read_text())["test"]
    rows = read_table(folder / "test" / "quality.csv")
    means = Evaluation.read_csv(folder / "test" / "metrics.csv").case_means("dice")
    assert {row["case"]: row["true_dice"] for row in rows} == pytest.approx(means)
    assert figures["quality"]["above"] == sum(row["true_dice"] >= row["bound"] for row in rows)
    assert figures["quality"]["sentence"] in (folder / "report.html").read_text()


def test_a_damaged_calibration_is_refused(calibrated: Calibrated, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "run"
    shutil.copytree(calibrated.run.folder, folder)
    (folder / "quality.json").write_text('{"members": {}}')
    scan = calibrated.unseen / "imagesTr" / "ball10_0000.nii.gz"
    assert voxloom(["predict", str(folder), str(scan), "-o", str(tmp_path / "out")]) == 2
    assert "voxloom calibrate" in capsys.readouterr().err
    for fold in calibrated.run.folds:
        shutil.rmtree(folder / fold.name / "predictions")
    assert voxloom(["calibrate", str(folder)]) == 2
    assert "is gone" in capsys.readouterr().err
    assert voxloom(["calibrate", str(folder), "--members", "folds"]) == 2
    assert "have seen a held-out case" in capsys.readouterr().err


@pytest.fixture(scope="module")
def dropped(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run as if its networks had dropout: the layers have no weights."""
    folder = tmp_path_factory.mktemp("dropout") / "run"
    shutil.copytree(trained.run.folder, folder)
    for about in folder.glob("fold_*/model.json"):
        described = json.loads(about.read_text())
        described["network"]["dropout"] = 0.2
        about.write_text(json.dumps(described))
    return folder


@pytest.mark.parametrize(("sources", "count"), [("folds", 2), ("tta", 5), ("folds,dropout", 2 * 3)])
def test_maps_and_figures_by_source(dropped: Path, trained: Trained, tmp_path: Path, sources: str, count: int) -> None:
    scan = trained.unseen / "imagesTr" / "ball10_0000.nii.gz"
    command = ["predict", str(dropped), str(scan), "-o", str(tmp_path), "--uncertainty", sources, "--draws", "3"]
    assert voxloom(command) == 0
    label = read_label(tmp_path / "ball10.nii.gz")
    maps = {}
    for name in ("spread", "entropy", "mutual_information"):
        found = read_volume(tmp_path / "uncertainty" / f"ball10_{name}.nii.gz")
        assert found.same_grid(label)
        assert 0 <= found.data.min() < found.data.max() <= 1
        maps[name] = found.data
    assert (maps["mutual_information"] <= maps["entropy"] + 1e-5).all()
    (row,) = read_table(tmp_path / "uncertainty" / "uncertainty.csv")
    assert (row["sources"], row["members"], row["seed"]) == (sources.replace(",", "+"), count, 0)
    assert 0 <= row["least_pairwise_dice"] <= row["pairwise_dice"] < 1
    assert row["pairwise_dice"] == pytest.approx((row["pairwise_dice_bright"] + row["pairwise_dice_dark"]) / 2)
    again = tmp_path / "again"
    assert voxloom([*command[:4], str(again), *command[5:]]) == 0
    assert read_table(again / "uncertainty" / "uncertainty.csv")[0] == row, "the same seed gives the same members"


def test_sources_are_chosen_and_refused(trained: Trained, dropped: Path, tmp_path: Path, capsys) -> None:
    scan = str(trained.unseen / "imagesTr" / "ball10_0000.nii.gz")
    out = tmp_path / "out"
    for text, said in (
        ("dropout", "without dropout has nothing to draw"),
        ("folds,luck", "not a source of uncertainty"),
    ):
        assert voxloom(["predict", str(trained.run.folder), scan, "-o", str(out), "--uncertainty", text]) == 2
        assert said in capsys.readouterr().err
        assert not out.exists(), "it is refused before anything is written"
    assert voxloom(["predict", str(dropped), scan, "-o", str(out), "--uncertainty", "dropout", "--draws", "1"]) == 2
    assert default_sources(Predictor.of(Run(dropped))) == ("folds",)
    assert default_sources(Predictor.from_folds([dropped / "fold_0"])) == ("dropout",)
    assert default_sources(Predictor.from_folds([trained.run.folder / "fold_0"])) == ("tta",)


def test_rank(trained: Trained, tmp_path: Path, capsys) -> None:
    scans, out = trained.unseen / "imagesTr", tmp_path / "order" / "rank.csv"
    command = ["rank", str(trained.run.folder), str(scans), "-o", str(out)]
    assert voxloom([*command, "-n", "3", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    rows = read_table(out)
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert [row["case"] for row in rows] == [row["case"] for row in printed["rows"]]
    assert printed["members"]["sources"] == ["folds"]
    assert rows[0]["uncertainty"] >= max(row["uncertainty"] for row in rows)
    assert "nearest" not in rows[0], "the first has nothing above it"
    assert rows[1]["nearest"] == rows[0]["case"]
    assert all(0 <= row["distance"] <= 1 for row in rows[1:])
    assert all(set(DISAGREEMENT) <= set(row) for row in rows)
    page = out.with_suffix(".html").read_text()
    assert page.count("<img") == 3
    assert rows[0]["reason"] in page
    assert voxloom([*command, "--diversity", "0", "--members", "tta"]) == 0
    doubts = [row["uncertainty"] for row in read_table(out)]
    assert len(doubts) == 4
    assert doubts == sorted(doubts, reverse=True)
    assert voxloom([*command, "--diversity", "2"]) == 2
    known = trained.data / "imagesTr"
    capsys.readouterr()
    assert voxloom(["rank", str(trained.run.folder), str(known), "-o", str(tmp_path / "none.csv")]) == 2
    assert "10 scans are cases of the run and are left out" in capsys.readouterr().err
    assert not (tmp_path / "none.csv").exists()
