"""Distances of pictures are in pixels, in the figures, their files, and on the screen; predictions must have the truth's values."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from voxloom.cli.app import run
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation, evaluate_folders
from voxloom.formats import write_volume
from voxloom.notes import collect
from voxloom.volume import Volume


def masks(folder: Path, value: int, shift: int = 0, count: int = 6) -> Path:
    folder.mkdir(parents=True)
    for n in range(count):
        mask = np.zeros((30, 30), np.uint8)
        mask[5 : 15 + n, 5 + shift : 15 + shift] = value
        Image.fromarray(mask).save(folder / f"c{n}.png")
    return folder


def test_pictures_are_scored_in_pixels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, found = masks(tmp_path / "t", 1), masks(tmp_path / "p", 1, shift=3)
    evaluation = evaluate_folders(found, truth, workers=0)
    summary = evaluation.summary()
    assert evaluation.unit == summary["unit"] == "pixel"
    assert summary["hd95"]["label_1"]["median"] == 3
    assert evaluation.rows[0].metrics.volume_ml_truth == 100
    assert "volume_error_ml" not in summary
    assert summary["volume_error_pixels"]["label_1"]["mean"] == 0
    path = evaluation.write_csv(tmp_path / "metrics.csv")
    with path.open() as f:
        row = next(csv.DictReader(f))
    assert (row["unit"], row["volume_pixels_truth"]) == ("pixel", "100.0")
    assert Evaluation.read_csv(path).summary() == summary
    assert run(["evaluate", "--pred", str(found), "--truth", str(truth)]) == 0
    head = capsys.readouterr().err
    assert "HD95 pixels" in head
    assert " mm" not in head
    assert " ml" not in head


def test_scans_stay_in_mm_and_old_tables_are_read(tmp_path: Path) -> None:
    for name in ("t", "p"):
        data = np.zeros((1, 12, 12, 12), np.uint8)
        data[0, 2:8, 2:8, 2:8] = 1
        write_volume(Volume(data, np.diag([2.0, 2.0, 2.0, 1.0])), tmp_path / name / "a.nii.gz")
    evaluation = evaluate_folders(tmp_path / "p", tmp_path / "t", workers=0)
    assert evaluation.unit == "mm"
    assert evaluation.rows[0].metrics.volume_ml_truth == pytest.approx(216 * 8 / 1000)
    path = evaluation.write_csv(tmp_path / "m.csv")
    lines = [line.rsplit(",", 1)[0] for line in path.read_text().splitlines()]  # as earlier versions wrote it
    path.write_text("\n".join(lines) + "\n")
    assert Evaluation.read_csv(path).unit == "mm"


def test_predictions_with_other_values_are_refused(tmp_path: Path) -> None:
    truth, found = masks(tmp_path / "t", 1), masks(tmp_path / "p", 255)
    with pytest.raises(BadInput, match=r"holds the values 255, the truth 0, 1: nothing could agree"):
        evaluate_folders(found, truth, workers=0)


def test_further_values_of_predictions_are_told(tmp_path: Path) -> None:
    truth, found = masks(tmp_path / "t", 1, count=2), masks(tmp_path / "p", 1, count=2)
    picture = np.array(Image.open(found / "c1.png"))
    picture[25:28, 25:28] = 7
    Image.fromarray(picture).save(found / "c1.png")
    with collect() as heard:
        evaluate_folders(found, truth, workers=0)
    assert [(Path(n.source).name, n.text) for n in heard] == [
        ("c1.png", "holds values that are not among the labels and are not scored: 7 (labels: 0, 1)")
    ]


def test_truths_of_1_and_of_255_are_told(tmp_path: Path) -> None:
    truth = masks(tmp_path / "t", 1, count=4)
    for n in (2, 3):
        Image.fromarray(np.array(Image.open(truth / f"c{n}.png")) * 255).save(truth / f"c{n}.png")
    with collect() as heard:
        evaluate_folders(truth, truth, workers=0)
    assert [n.text for n in heard] == ["the values 1, 255 never occur in one file; they are scored as different labels"]


def test_a_folder_of_images_is_no_prediction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for n in range(2):
        noise = np.random.default_rng(n).integers(0, 255, (40, 40)).astype(np.uint8)
        Image.fromarray(noise).save(images / f"c{n}.png")
    assert run(["evaluate", "--pred", str(images), "--truth", str(images)]) == 2
    assert "is not a label map" in capsys.readouterr().err


def test_a_run_on_pictures_reports_pixels(tmp_path: Path) -> None:
    """From the plan to the report, no millimetre is invented."""
    from tests.study.conftest import TINY
    from voxloom.recipe.recipe import Recipe
    from voxloom.verbs.train import train

    root = tmp_path / "data"
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for n in range(6):
        random = np.random.default_rng(n)
        mask = np.zeros((32, 32), np.uint8)
        mask[8 : 18 + n % 3, 9:20] = 1
        image = np.clip(random.normal(80, 8, mask.shape) + 90 * mask, 0, 255).astype(np.uint8)
        Image.fromarray(image).save(root / "images" / f"c{n}.png")
        Image.fromarray(mask).save(root / "masks" / f"c{n}.png")
    flat = {"network.strides": [[1, 1], [2, 2], [2, 2]], "network.kernels": [[3, 3], [3, 3], [3, 3]]}
    changes = {**TINY, **flat, "network.dims": 2, "training.patch": [32, 32, 1], "training.steps": 40}
    done = train(root, Recipe.load("auto").changed(changes), out=tmp_path / "run", folds=2)
    assert done.data["fingerprint"]["unit"] == done.summary["validation"]["unit"] == "pixel"
    plan = {row["choice"]: row["value"] for row in json.loads((done.folder / "plan.json").read_text())}
    assert plan["spacing"] == "1 x 1 x 1 pixels"
    assert "unit" in (done.folder / "fold_0" / "metrics.csv").read_text().splitlines()[0]
    for name in ("report.html", "methods.md", "model_card.md"):
        text = (done.folder / name).read_text(encoding="utf-8")
        assert "pixels" in text
        for wrong in ("HD95 mm", "HD95 (mm)", "volume error ml", "distance in mm", "left-right", "1 x 1 x 1 mm"):
            assert wrong not in text, (name, wrong)
