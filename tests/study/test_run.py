"""A whole run: train, files, predict, evaluate, report, show, export, resume, refusals."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import voxloom as vx
from voxloom.cli.app import run as voxloom
from voxloom.errors import BadInput
from voxloom.evaluation import dice_score
from voxloom.formats import read_label, read_volume, write_volume
from voxloom.run.find_scans import find_scans
from voxloom.run.lifecycle import locked
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.tasks.task import task_named
from voxloom.training.weights import load_weights, weights_hash
from voxloom.verbs.options import PredictOptions
from voxloom.verbs.predict import open_predictor, predict_with
from voxloom.verbs.run import Run
from voxloom.verbs.scan_work import ScanWork, predict_scans
from voxloom.verbs.train import train
from voxloom.volume import Volume

from .conftest import TINY, Trained, write_balls

RUN_FILES = (
    "recipe.yaml", "repeat.yaml", "plan.md", "plan.json", "data.json", "environment.json", "splits_final.json",
    "summary.json", "report.html", "fold_0/model.safetensors", "fold_0/model.json", "fold_0/last.ckpt", "fold_0/log.csv",
    "fold_0/curves.png", "fold_0/metrics.csv", "fold_1/model.safetensors",
)  # fmt: skip


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_run_has_its_files(trained: Trained, name: str) -> None:
    assert (trained.run.folder / name).stat().st_size > 0


def test_every_case_is_held_out_once_and_scored(trained: Trained) -> None:
    summary = trained.run.summary["validation"]
    assert summary["cases"] == 10
    assert summary["dice"]["mean"]["mean"] > 0.6


def test_prediction_lies_on_the_scan_with_the_sets_own_values(trained: Trained) -> None:
    scan = trained.unseen / "imagesTr" / "ball12_0000.nii.gz"
    found = trained.run.predict(scan)
    assert found.same_grid(read_volume(scan))
    assert set(np.unique(found.data)) <= {0, 3, 207}
    truth = read_label(trained.unseen / "labelsTr" / "ball12.nii.gz")
    assert dice_score(found.data[0] == 3, truth.data[0] == 3) > 0.6


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
def test_result_has_the_inputs_format_and_grid(trained: Trained, tmp_path: Path, ending: str) -> None:
    scan = read_volume(trained.unseen / "imagesTr" / "ball13_0000.nii.gz")
    source = write_volume(scan, tmp_path / f"scan{ending}")
    predictor = Predictor.of(trained.run)
    work = ScanWork(task_named("segmentation"), tmp_path / "out")
    ((_, written),) = predict_scans(work, predictor, find_scans([source], 1))
    assert written.name == f"scan{ending}"
    assert read_label(written).same_grid(scan)


def test_open_networks_predict_again_and_only_as_they_were_opened(trained: Trained, tmp_path: Path) -> None:
    scans = [trained.unseen / "imagesTr" / f"ball{n}_0000.nii.gz" for n in (11, 12)]
    options = PredictOptions(device="cpu")
    opened = open_predictor(trained.run.folder, options)
    files = [*predict_with(opened, scans[:1], tmp_path / "a", options).files.values()]
    files += predict_with(opened, scans[1:], tmp_path / "b", options).files.values()
    for scan, file in zip(scans, files, strict=True):
        assert np.array_equal(read_volume(file).data, trained.run.predict(scan).data)
    with pytest.raises(ValueError, match="opened with"):
        predict_with(opened, scans, tmp_path / "c", PredictOptions(device="cpu", tta=True))
    with pytest.raises(BadInput, match="cannot cut volumes out"):
        predict_with(opened, scans, tmp_path / "c", PredictOptions(device="cpu", cutouts=10))
    assert not (tmp_path / "c").exists()


def test_oblique_left_handed_scan_gets_the_same_result(trained: Trained) -> None:
    scan = read_volume(trained.unseen / "imagesTr" / "ball13_0000.nii.gz")
    straight = trained.run.predict(scan)
    turned = Volume(np.ascontiguousarray(scan.data.transpose(0, 3, 1, 2)), scan.affine[:, [2, 0, 1, 3]])
    assert np.array_equal(trained.run.predict(turned).data.transpose(0, 2, 3, 1), straight.data)


def test_wrong_number_of_channels_is_refused(trained: Trained) -> None:
    scan = read_volume(trained.unseen / "imagesTr" / "ball13_0000.nii.gz")
    with pytest.raises(BadInput, match="2 channel"):
        trained.run.predict(scan.with_data(np.concatenate([scan.data, scan.data])))


@pytest.mark.drawn
def test_evaluation_on_unseen_cases_reaches_the_report(trained: Trained) -> None:
    summary = trained.run.evaluate(trained.unseen).summary()
    assert summary["cases"] == 4
    assert summary["dice"]["bright"]["mean"] > 0.6
    page = trained.run.report().read_text()
    assert "4 test cases" in page
    assert "data:image" in page


def test_training_cases_are_no_test(trained: Trained) -> None:
    with pytest.raises(BadInput, match="have the same image file"):
        trained.run.evaluate(trained.data)


@pytest.mark.drawn
def test_pictures(trained: Trained, tmp_path: Path) -> None:
    trained.run.show_batch(tmp_path / "batch.png")
    trained.run.show_results(tmp_path / "results.png")
    for name in ("batch.png", "results.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_labels_are_explained_by_all_folds(trained: Trained, tmp_path: Path) -> None:
    scan = trained.unseen / "imagesTr" / "ball12_0000.nii.gz"
    line = ["explain", str(trained.run.folder), str(scan), "-o", str(tmp_path)]
    assert voxloom(line) == 0
    assert voxloom([*line, "--method", "occlusion", "--box", "9"]) == 0  # the usual box has twenty times as many places
    truth = read_label(trained.unseen / "labelsTr" / "ball12.nii.gz").data[0]
    for name, value in (("bright", 3), ("dark", 207)):
        assert read_volume(tmp_path / f"ball12_grad-cam_{name}.nii.gz").same_grid(read_volume(scan))
        found = np.abs(read_volume(tmp_path / f"ball12_occlusion_{name}.nii.gz").data[0])
        near = ndimage.binary_dilation(truth == value, iterations=4)
        assert found[near].mean() > 2 * found[~near].mean()
    worst = trained.run.top_losses(3)
    dice = trained.run.evaluate().evaluation.case_means("dice")
    assert worst[0].case == min(dice, key=dice.__getitem__)
    assert worst[0].loss == pytest.approx(1 - min(dice.values()))


def test_second_run_into_one_folder_is_refused(trained: Trained) -> None:
    with pytest.raises(BadInput, match="not empty"):
        train(trained.data, out=trained.run.folder)


def test_two_processes_in_one_run_are_refused(trained: Trained, tmp_path: Path) -> None:
    with locked(tmp_path / "run"), pytest.raises(BadInput, match="another process"), locked(tmp_path / "run"):
        pass


@pytest.mark.usefixtures("one_thread")
def test_repeat_recipe_gives_the_same_weights(tmp_path: Path) -> None:
    data, few = write_balls(tmp_path / "balls", 6), {**TINY, "training.steps": 12, "folds.count": 2}
    first = train(data, vx.Recipe.load("auto").changed(few), out=tmp_path / "first")
    again = train(data, first.folder / "repeat.yaml", out=tmp_path / "again")
    hashes = [weights_hash(load_weights(run.folder / "fold_1")[0]) for run in (first, again)]
    assert hashes[0] == hashes[1]
    assert hashes[0] != weights_hash(load_weights(first.folder / "fold_0")[0])


def test_resuming_with_changed_data_is_refused(trained: Trained, tmp_path: Path) -> None:
    shutil.copytree(trained.data, tmp_path / "balls")
    label = tmp_path / "balls" / "labelsTr" / "ball03.nii.gz"
    volume = read_label(label)
    write_volume(volume.with_data(np.zeros_like(volume.data)), label)
    with pytest.raises(BadInput, match="ball03"):
        train(tmp_path / "balls", out=trained.run.folder, resume=True)


def test_resuming_a_finished_run_keeps_its_weights(trained: Trained) -> None:
    before = weights_hash(load_weights(trained.run.folder / "fold_0")[0])
    train(trained.data, out=trained.run.folder, resume=True)
    assert weights_hash(load_weights(trained.run.folder / "fold_0")[0]) == before


def test_a_finished_run_without_checkpoints_is_not_trained_over(trained: Trained, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.run.folder, run)
    for checkpoint in run.glob("fold_*/last.ckpt"):
        checkpoint.unlink()
    before = weights_hash(load_weights(run / "fold_0")[0])
    with pytest.raises(BadInput, match="no checkpoint to go on from"):
        train(trained.data, out=run, resume=True)
    assert weights_hash(load_weights(run / "fold_0")[0]) == before


def test_budget_too_short_for_a_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="too short"):
        train(write_balls(tmp_path / "balls", 6), out=tmp_path / "run", budget="0.0001s", device="cpu")


def test_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not a run"):
        Run(tmp_path)


def test_data_json_names_files_by_hash(trained: Trained) -> None:
    from voxloom.files import sha256_file

    case = trained.run.data["cases"][0]
    assert all(sha256_file(path) == digest for path, digest in case["files"].items())
    assert case["fold"] in (0, 1)


def test_splits_file_of_nnunet_decides_the_folds(tmp_path: Path) -> None:
    data = write_balls(tmp_path / "balls", 6)
    names = [f"ball{n:02d}" for n in range(6)]
    (tmp_path / "splits.json").write_text(json.dumps([{"train": names[:4], "val": names[4:]}]))
    quick = {**TINY, "training.steps": 4, "training.validations": 1}
    run = train(data, vx.Recipe.load("auto").changed(quick), out=tmp_path / "run", folds=tmp_path / "splits.json")
    assert json.loads((run.folder / "splits_final.json").read_text()) == [{"train": names[:4], "val": names[4:]}]
    assert sorted(p.name for p in (run.folder / "fold_0" / "predictions").iterdir()) == [
        "ball04.nii.gz",
        "ball05.nii.gz",
    ]


@pytest.mark.drawn
def test_the_ten_lines_of_the_design(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_balls(tmp_path / "Task04_Hippocampus", 8)
    test = write_balls(tmp_path / "test", 12)
    for n in range(8):
        (test / "imagesTr" / f"ball{n:02d}_0000.nii.gz").unlink()
        (test / "labelsTr" / f"ball{n:02d}.nii.gz").unlink()
    shutil.copy(test / "imagesTr" / "ball09_0000.nii.gz", "scan.nii.gz")
    data = vx.Dataset("Task04_Hippocampus")
    assert "8" in data.summary()
    assert "mm" in str(data.suggest())
    run = vx.train(data, recipe="auto", budget="3s")
    run.show_results()
    run.evaluate(test).report("report.html")
    mask = run.predict("scan.nii.gz")
    run.export("model/", to="monai")
    assert mask.shape == read_volume("scan.nii.gz").shape
    assert Path("report.html").stat().st_size > 1000
    assert Path("model/configs/inference.json").is_file()


def test_sorted_folds_and_the_spread_over_folds(tmp_path: Path) -> None:
    data = write_balls(tmp_path / "balls", 6)
    quick = {**TINY, "training.steps": 2, "training.validations": 1, "folds.count": 2, "folds.sort_by": "field_of_view"}
    run = train(data, vx.Recipe.load("auto").changed(quick), out=tmp_path / "run")
    splits = json.loads((run.folder / "splits_final.json").read_text())
    assert [fold["val"] for fold in splits] == [["ball00", "ball01", "ball03"], ["ball02", "ball04", "ball05"]]
    assert set(run.summary["validation"]["robustness"]["bright"]["folds"]) == {"fold_0", "fold_1"}
    assert run.summary["validation"]["robustness"]["mean"]["sd_folds"] >= 0


def test_sorted_folds_of_one_are_refused() -> None:
    with pytest.raises(BadInput, match="sort_by needs"):
        vx.Recipe.load("auto").changed({"folds.sort_by": "slices"})


def test_prediction_imports_neither_lightning_nor_monai(trained: Trained, tmp_path: Path) -> None:
    heavy = ["monai", "lightning", "torchvision", "pandas", "matplotlib", "sklearn", "torch._dynamo", "SimpleITK"]
    scan = next((trained.unseen / "imagesTr").glob("*_0000.nii.gz"))
    code = (
        "import sys\nfrom voxloom.cli.app import run\n"
        f"code = run(['predict', {str(trained.run.folder)!r}, {str(scan)!r}, '-o', {str(tmp_path)!r}])\n"
        f"bad = [m for m in {heavy!r} if m in sys.modules]\n"
        "sys.exit(f'imported {bad}' if bad or code else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert len(list(tmp_path.glob("*.nii.gz"))) == 1
