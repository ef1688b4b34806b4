"""Whole runs on other kinds of data: single slices, regions with ignored voxels, two channels, real MR."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxloom.dataset import Dataset
from voxloom.formats import read_label, read_volume, write_volume
from voxloom.recipe.recipe import Recipe
from voxloom.verbs.train import train
from voxloom.volume import Volume

from .conftest import TINY, write_balls

TINY_2D = {
    **TINY,
    "network.strides": [[1, 1], [2, 2], [2, 2]],
    "network.kernels": [[3, 3], [3, 3], [3, 3]],
    "training.patch": [32, 32, 1],
    "training.batch": 4,
    "training.steps": 60,
}


pytestmark = pytest.mark.usefixtures("one_thread")


def write_discs(root: Path, count: int = 10) -> Path:
    """PNG pairs: a bright disc on noise, mask value 255."""
    i, j = np.meshgrid(np.arange(40), np.arange(36), indexing="ij")
    for n in range(count):
        random = np.random.default_rng(n)
        x, y = random.uniform(12, 26, 2)
        mask = ((i - x) ** 2 + (j - y) ** 2 < 49).astype(np.uint8) * 255
        image = np.clip(random.normal(80, 15, mask.shape) + 0.4 * mask, 0, 255).astype(np.uint8)
        affine = np.diag([-1.0, -1.0, 1.0, 1.0])
        write_volume(Volume(image[None, ..., None], affine), root / "images" / f"d{n}.png")
        write_volume(Volume(mask[None, ..., None], affine), root / "masks" / f"d{n}.png")
    return root


def test_single_slices_train_and_predict_in_2d(tmp_path: Path) -> None:
    data = write_discs(tmp_path / "discs")
    run = train(data, Recipe.load("auto").changed(TINY_2D), out=tmp_path / "run")
    assert run.recipe.network["dims"] == 2
    found = run.predict(data / "images" / "d3.png")
    truth = read_label(data / "masks" / "d3.png")
    assert set(np.unique(found.data)) == {0, 255}
    assert 2 * ((found.data > 0) & (truth.data > 0)).sum() / ((found.data > 0).sum() + (truth.data > 0).sum()) > 0.8


def test_regions_and_ignored_voxels(tmp_path: Path) -> None:
    data = write_balls(tmp_path / "balls", 6, values=(1, 2))
    for n in range(6):  # nobody annotated the last slices
        path = data / "labelsTr" / f"ball{n:02d}.nii.gz"
        label = read_label(path)
        sparse = label.data.copy()
        sparse[..., -3:] = 3
        write_volume(label.with_data(sparse), path)
    about = json.loads((data / "dataset.json").read_text())
    about |= {"labels": {"background": 0, "both": [1, 2], "dark": 2, "ignore": 3}, "regions_class_order": [1, 2]}
    (data / "dataset.json").write_text(json.dumps(about))
    run = train(data, Recipe.load("auto").changed({**TINY, "training.steps": 120}), out=tmp_path / "run")
    found = run.predict(data / "imagesTr" / "ball05_0000.nii.gz")
    assert set(np.unique(found.data)) <= {0, 1, 2}
    assert run.summary["validation"]["dice"]["both"]["mean"] > 0.3


def test_two_channels(tmp_path: Path) -> None:
    data = write_balls(tmp_path / "balls", 6)
    for n in range(6):
        first = read_volume(data / "imagesTr" / f"ball{n:02d}_0000.nii.gz")
        write_volume(first.with_data(first.data * -1), data / "imagesTr" / f"ball{n:02d}_0001.nii.gz")
    about = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps({**about, "channel_names": {"0": "MR", "1": "CT"}}))
    run = train(data, Recipe.load("auto").changed({**TINY, "training.steps": 10}), out=tmp_path / "run")
    assert run.recipe.prepare["normalize"] == ["zscore", "ct"]
    parts = [data / "imagesTr" / f"ball00_000{n}.nii.gz" for n in (0, 1)]
    volumes = [read_volume(path) for path in parts]
    whole = volumes[0].with_data(np.concatenate([v.data for v in volumes]))
    assert run.predict(whole).shape == volumes[0].shape


def test_real_hippocampus_in_seconds(data_dir: Path, tmp_path: Path) -> None:
    dataset = Dataset(data_dir / "hippocampus")
    names = [case.id for case in dataset][:16]
    settings = {**TINY, "network.features": [8, 16, 32], "training.patch": [40, 48, 40], "training.steps": 120}
    settings |= {"folds.hold_out": 0.5}
    run = train(dataset.subset(names), Recipe.load("auto").changed(settings), out=tmp_path / "run")
    assert run.summary["validation"]["dice"]["mean"]["mean"] > 0.6


def test_tilted_ct_is_refused_unless_asked_to_resample(data_dir: Path) -> None:
    from voxloom.errors import BadInput
    from voxloom.run.scans import read_channels

    with pytest.raises(BadInput, match="resample-tilt"):
        read_channels(data_dir / "dicom-ct-tilt")
    assert read_channels(data_dir / "dicom-ct-tilt", resample_tilt=True).channels == 1


def test_merged_labels_train_one_channel(tmp_path: Path) -> None:
    data = write_balls(tmp_path / "balls", 6)
    changes = {**TINY, "labels.merge": ["bright", "dark"], "training.steps": 10}
    run = train(data, Recipe.load("auto").changed(changes), out=tmp_path / "run")
    assert run.recipe.network["out_channels"] == 1
    assert set(run.summary["validation"]["dice"]) - {"mean"} == {"bright+dark"}
    assert set(np.unique(run.predict(data / "imagesTr" / "ball00_0000.nii.gz").data)) <= {0, 3}
