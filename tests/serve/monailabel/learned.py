"""A run that finds two balls, and a DICOM series that shows them: what a viewer must lay on the right place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.study.conftest import TINY, write_balls
from voxloom.formats import write_dicom_series
from voxloom.volume import Volume

#: Enough for the bright and the dark ball to be told from the noise.
STEPS = {**TINY, "training.steps": 120, "training.validations": 1, "folds.hold_out": 0.34}
#: Values of the labels, as ``write_balls`` gives them, and where the middles of the balls are.
NAMES = {"bright": 3, "dark": 207}
CENTERS = {"bright": (12, 10, 6), "dark": (33, 27, 13)}


def train_balls(folder: Path) -> Path:
    """The folder of a run."""
    import torch

    from voxloom.dataset import Dataset
    from voxloom.recipe.recipe import Recipe
    from voxloom.verbs.train import train

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    data = write_balls(folder / "data", 6)
    train(Dataset(data), Recipe.load("auto").changed(STEPS), out=folder / "balls")
    torch.set_num_threads(before)
    return folder / "balls"


def phantom() -> tuple[Volume, NDArray[np.uint8]]:
    """An MR of 48 x 40 x 20 voxels without any symmetry, and its label map (I, J, K): a bright and a dark ball."""
    random, shape = np.random.default_rng(5), (48, 40, 20)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1).astype(float)
    label = np.zeros(shape, np.uint8)
    for value, center in zip(NAMES.values(), CENTERS.values(), strict=True):
        label[((grid - np.array(center)) ** 2 * [1, 1, 1.8]).sum(-1) < 20] = value
    image = random.normal(100, 10, shape) + 80 * (label == 3) - 60 * (label == 207)
    affine = np.array([[-1.5, 0, 0, 36], [0, -1.5, 0, 30], [0, 0, 2.0, -20], [0, 0, 0, 1]])
    return Volume(image.astype(np.int16)[None], affine), label


def write_series(folder: Path) -> NDArray[np.uint8]:
    """The phantom as a DICOM series; its label map."""
    volume, label = phantom()
    write_dicom_series(volume, folder)
    return label
