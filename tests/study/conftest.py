"""One small trained run on a phantom, shared by the tests of the study layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from voxloom.dataset import Dataset
from voxloom.formats import write_volume
from voxloom.verbs.run import Run
from voxloom.verbs.train import train
from voxloom.volume import Volume

TINY = {
    "network.features": [4, 8, 8],
    "network.strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
    "network.kernels": [[3, 3, 3], [3, 3, 3], [3, 3, 3]],
    "network.deep_supervision": 2,
    "training.patch": [24, 24, 16],
    "training.steps": 250,
    "training.validations": 2,
    "training.optimizer": "adamw",
    "training.learning_rate": 0.01,
    "training.ema": 0.9,
    "training.precision": "fp32",  # what is faster here would be timed for every training
    "device": "cpu",
}


def write_balls(
    root: Path, count: int = 10, *, values: tuple[int, int] = (3, 207), affine: np.ndarray | None = None
) -> Path:
    """nnU-Net raw: volumes with two balls of different brightness, label values that are not consecutive."""
    import json

    for n in range(count):
        random = np.random.default_rng(n)
        shape = (22 + n % 3, 20, 15)
        grid = np.stack(np.meshgrid(*(np.arange(s) for s in shape), indexing="ij"), -1).astype(float)
        label = np.zeros(shape, np.uint8)
        for value, x in zip(values, (6, 15), strict=True):
            center = np.array([x, 10, 7]) + random.uniform(-1, 1, 3)
            label[((grid - center) ** 2).sum(-1) < random.uniform(10, 16)] = value
        image = random.normal(100, 10, shape) + 80 * (label == values[0]) - 60 * (label == values[1])
        place = np.diag([-1.5, 1.5, 2.0, 1.0]) if affine is None else affine
        write_volume(Volume(image.astype(np.float32)[None], place), root / "imagesTr" / f"ball{n:02d}_0000.nii.gz")
        write_volume(Volume(label[None], place), root / "labelsTr" / f"ball{n:02d}.nii.gz")
    about = {"channel_names": {"0": "MR"}, "labels": {"background": 0, "bright": values[0], "dark": values[1]}}
    (root / "dataset.json").write_text(json.dumps({**about, "numTraining": count, "file_ending": ".nii.gz"}))
    return root


@dataclass(frozen=True)
class Trained:
    """A trained run, its data and unseen data."""

    run: Run
    data: Path
    unseen: Path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Two folds on ten phantom volumes."""
    from voxloom.recipe.recipe import Recipe

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("study with spaces é")
    data, unseen = write_balls(root / "balls"), root / "unseen"
    write_balls(unseen, 14)
    for n in range(10):
        (unseen / "imagesTr" / f"ball{n:02d}_0000.nii.gz").unlink()
        (unseen / "labelsTr" / f"ball{n:02d}.nii.gz").unlink()
    run = train(Dataset(data), Recipe.load("auto").changed(TINY), out=root / "run", folds=2)
    torch.set_num_threads(before)
    return Trained(run, data, unseen)
