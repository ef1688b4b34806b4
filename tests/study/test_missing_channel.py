"""A channel that some cases lack: refused unless the network learns to do without, then filled alike everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.study.conftest import TINY, write_balls
from voxloom.cli.app import run as cli
from voxloom.dataset import Dataset
from voxloom.dataset.inspect import find_problems, fingerprint
from voxloom.errors import BadInput
from voxloom.evaluation import dice_score
from voxloom.formats import read_label, read_volume, write_volume
from voxloom.prepare import PrepareSettings, measure_statistics, prepare_image
from voxloom.recipe.recipe import Recipe
from voxloom.run.find_scans import find_scans
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.verbs.run import Run
from voxloom.verbs.train import train

LEARNS = {"augment.channel_dropout": 0.3}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight volumes with a second channel, their negative; the last two lack it, and the third lacks the first."""
    root = write_balls(tmp_path_factory.mktemp("two") / "data", 8)
    for path in sorted((root / "imagesTr").glob("*_0000.nii.gz")):
        volume = read_volume(path)
        if path.name < "ball06":
            write_volume(volume.with_data(200 - volume.data), path.with_name(path.name.replace("_0000", "_0001")))
    (root / "imagesTr" / "ball02_0000.nii.gz").unlink()
    about = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({**about, "channel_names": {"0": "T1", "1": "T2"}}))
    return root


@pytest.fixture(scope="module")
def learned(two: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    recipe = Recipe.load("auto").changed({**TINY, **LEARNS, "training.steps": 120, "training.validations": 1})
    run = train(two, recipe, out=tmp_path_factory.mktemp("runs") / "run", folds=2)
    torch.set_num_threads(before)
    return run


def test_the_set_opens_and_says_what_is_missing(two: Path, tmp_path: Path) -> None:
    data = Dataset(two)
    assert [(case.id, case.missing) for case in data if case.missing] == [
        ("ball02", (0,)),
        ("ball06", (1,)),
        ("ball07", (1,)),
    ]
    image = data["ball02"].read_image()
    assert image.missing == (0,)
    assert np.isfinite(image.data[1]).all()
    found = fingerprint(data)
    problems = [p.what for p in find_problems(data, found)]
    assert "T2 is missing in 2 cases: ball06, ball07" in problems
    assert not any("NaN" in what for what in problems)
    assert set(found.channel_percentiles) == {"T1", "T2"}
    assert cli(["inspect", str(two), "-o", str(tmp_path / "page.html")]) == 0


def test_a_recipe_must_say_that_channels_may_be_missing(
    two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli(["train", str(two), "-o", str(tmp_path / "run"), "--set", "device=cpu"]) == 2
    said = capsys.readouterr().err
    assert "case ball02 has no image of channel T1" in said
    assert "--set augment.channel_dropout=0.2" in said
    assert not (tmp_path / "run").exists()
    assert cli(["prepare", str(two), "-r", "auto", "-o", str(tmp_path / "cache")]) == 2
    with pytest.raises(BadInput, match="case ball02 lacks a channel, nnU-Net needs all"):
        Dataset(two).write_nnunet(tmp_path / "copy")


@pytest.mark.parametrize("normalize", ["zscore", "zscore_mask", "ct", "zscore_sample", "minmax"])
def test_a_missing_channel_is_zero_however_it_is_normalized(two: Path, normalize: str) -> None:
    data = Dataset(two)
    settings = PrepareSettings(normalize=normalize)
    statistics = measure_statistics(list(data), settings, data.labels) if settings.needs_statistics else None
    prepared, _ = prepare_image(data["ball06"].read_image(), settings, statistics)
    assert not prepared[1].any()
    assert prepared[0].std() > 0.1
    if statistics is not None:
        with_all = [data[name] for name in ("ball00", "ball01", "ball03", "ball04", "ball05")]
        whole = measure_statistics(with_all, settings, data.labels)
        assert statistics.channels[1].mean == pytest.approx(whole.channels[1].mean, rel=0.05)


def test_training_uses_them_and_prediction_fills_and_says_so(
    learned: Run, two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert learned.summary["validation"]["cases"] == 8
    learned.show_results(tmp_path / "held-out.png", cases=["ball02"])
    for name, channel, lost in (("a", "_0000", "T2"), ("b", "_0001", "T1")):
        scan = tmp_path / f"{name}{channel}.nii.gz"
        scan.write_bytes((two / "imagesTr" / f"ball04{channel}.nii.gz").read_bytes())
        assert cli(["predict", str(learned.folder), str(scan), "-o", str(tmp_path / "out"), "--json"]) == 0
        said = capsys.readouterr()
        assert f"{name}: no file of {lost}; filled as in training" in said.err
        assert json.loads(said.out)["filled"] == {name: [lost]}
        found = read_label(tmp_path / "out" / f"{name}.nii.gz").data == 3
        assert dice_score(found, read_label(two / "labelsTr" / "ball04.nii.gz").data == 3) > 0.5
    volume = read_volume(tmp_path / "a_0000.nii.gz")
    write_volume(volume.with_data(volume.data[:, ::-1]), tmp_path / "new_0000.nii.gz")  # of nobody known
    rule = ["--agreement", "0", "--expected", "0"]
    scan = str(tmp_path / "new_0000.nii.gz")
    assert cli(["pseudo", str(learned.folder), scan, "-o", str(tmp_path / "p"), *rule]) == 0
    assert [path.name for path in (tmp_path / "p" / "imagesTr").iterdir()] == ["new_0000.nii.gz"]


def test_a_scan_without_any_channel_is_refused(learned: Run, two: Path) -> None:
    volume = read_volume(two / "imagesTr" / "ball04_0000.nii.gz")
    blank = volume.with_data(np.full((2, *volume.shape), np.nan, np.float32))
    with pytest.raises(BadInput, match="channel T1 is missing"):
        Predictor.of(learned).predict(blank)


def test_a_run_that_did_not_learn_it_refuses(learned: Run, two: Path, tmp_path: Path) -> None:
    for fold in learned.folds:
        described = json.loads((fold.folder / "model.json").read_text())
        target = tmp_path / "run" / fold.name
        target.mkdir(parents=True)
        (target / "model.safetensors").write_bytes((fold.folder / "model.safetensors").read_bytes())
        (target / "model.json").write_text(json.dumps({**described, "channel_dropout": 0.0}))
    predictor = Predictor.from_folds(sorted((tmp_path / "run").iterdir()))
    with pytest.raises(BadInput, match="channel T2 is missing, and the run did not learn to do without it"):
        predictor.predict(Dataset(two)["ball06"].read_image())
    with pytest.raises(BadInput, match=r"has channel 0, the run needs 0 and 1 \(channel 1 is missing\)"):
        find_scans([two / "imagesTr" / "ball06_0000.nii.gz"], 2, predictor.may_lack)


def test_a_table_may_leave_a_cell_empty(two: Path, tmp_path: Path) -> None:
    images, labels = two / "imagesTr", two / "labelsTr"
    rows = [
        f"{n},{images / f'{n}_0000.nii.gz'},{images / f'{n}_0001.nii.gz'},{labels / n}.nii.gz"
        for n in ("ball00", "ball01")
    ]
    rows.append(f"ball06,{images / 'ball06_0000.nii.gz'},,{labels / 'ball06.nii.gz'}")
    table = tmp_path / "cases.csv"
    table.write_text("case,image_T1,image_T2,label\n" + "\n".join(rows) + "\n")
    data = Dataset(table)
    assert [case.missing for case in data] == [(), (), (1,)]
    assert data["ball06"].read_image().missing == (1,)
