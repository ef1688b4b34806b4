"""Prepared cases in memory, and the training of a shipped recipe on them: its own network, optimizer, loss and changes.

What a recipe does before and after that (reading, preparing, folds, report) is tested end to end in ``test_shipped.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from voxloom.dataset.labels import Label, Labels
from voxloom.recipe.recipe import Recipe
from voxloom.tasks.segmentation.facts import complete, resolve
from voxloom.training.fit import Training
from voxloom.training.planner import DataFacts

#: Keys that make a training small. Nothing else of a recipe may be changed by a test that trains it as published.
SIZES = {
    "device", "init.weights", "network.features", "network.strides", "network.kernels", "network.depth", "network.deep_supervision",
    "slices.spread",
    "training.patch", "training.batch", "training.steps", "training.validations", "training.precision",
}  # fmt: skip


class Blobs:
    """A volume of noise with one ball per label, of a brightness of its own; some of them small, none always in one place."""

    def __init__(
        self, seed: int, shape: tuple[int, int, int], *, labels: int, channels: int = 1, positive: bool = False
    ) -> None:
        random = np.random.default_rng(seed)
        self.shape, self.spacing = shape, (1.5, 1.5, 1.5)
        grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1) / np.array(shape)
        self._label = np.zeros(shape, np.uint8)
        for number in range(1, labels + 1):
            middle = random.uniform(0.35, 0.65, 3)
            middle[0] = (number - 0.5 + random.uniform(-0.1, 0.1)) / labels
            radius = random.uniform(0.28, 0.34) / labels**0.5
            self._label[((grid - middle) ** 2).sum(-1) < radius**2] = number
        bright = self._label * (2.0 / labels) * np.where(self._label % 2, 1, -1)
        image = random.standard_normal((channels, *shape)) * 0.3 + bright
        if positive:  # as "minmax" leaves it
            image = (image - image.min()) / np.ptp(image)
        self._image = image.astype(np.float32)
        self.foreground = {n: np.argwhere(self._label == n).astype(np.int32) for n in range(1, labels + 1)}

    def image(self, slices: tuple[slice, slice, slice] | None = None) -> np.ndarray:
        """(C, I, J, K)."""
        return self._image if slices is None else self._image[(slice(None), *slices)]

    def label(self, slices: tuple[slice, slice, slice] | None = None) -> np.ndarray:
        """(I, J, K)."""
        return self._label if slices is None else self._label[slices]


def published_training(
    name: str, folder: Path, shape: tuple[int, int, int], small: dict[str, Any], *, labels: int, channels: int = 1
) -> Training:
    """The training of a shipped recipe on six volumes of ``shape``, two more for validation, made small by ``small``."""
    assert set(small) <= SIZES, set(small) - SIZES
    recipe = Recipe.load(name).changed({"device": "cpu", "training.precision": "fp32", **small})
    made = Labels(tuple(Label(f"label {n}", (n,)) for n in range(1, labels + 1)))
    spacing = (1.5, 1.5, 1.5)
    facts = DataFacts(8, (shape,) * 8, (spacing,) * 8, ("MR",) * channels, labels + 1, ("label 1", 400.0))
    full, _ = complete(recipe.changed({"prepare.resize_to": None}), facts, "cpu", 60.0, lambda *_: 0.1)
    s = resolve(full)
    positive = s.prepare.normalize == "minmax"
    cases = [Blobs(n, shape, labels=labels, channels=channels, positive=positive) for n in range(8)]
    return Training(
        folder, {f"case{n}": case for n, case in enumerate(cases[:6])}, {f"case{n}": cases[n] for n in (6, 7)}, made,
        s.network, s.training, s.augment, s.inference, spacing, 0, {}, slices=s.slices, init=full.init,
    )  # fmt: skip
