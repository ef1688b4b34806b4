"""Prepared cases in memory, and the training of a shipped recipe on them: its own network, optimizer, loss and changes.

What a recipe does before and after that (reading, preparing, folds, report) is tested end to end in ``test_shipped.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from voxloom.dataset.labels import Label, Labels
from voxloom.formats import Header
from voxloom.landmarks import Layout
from voxloom.points import Point
from voxloom.recipe.recipe import Recipe
from voxloom.tasks.landmarks.plan import plan_landmarks
from voxloom.tasks.landmarks.sampling import LandmarkCase
from voxloom.tasks.landmarks.training import LandmarkTraining
from voxloom.tasks.segmentation.facts import complete
from voxloom.tasks.segmentation.training import SegmentationTraining
from voxloom.tasks.settings import resolve
from voxloom.training.planner import DataFacts

#: Keys that make a training small. Nothing else of a recipe may be changed by a test that trains it as published.
SIZES = {
    "device", "init.weights", "network.features", "network.strides", "network.kernels", "network.depth",
    "network.deep_supervision", "slices.spread", "landmarks.channels", "training.patch", "training.batch",
    "training.steps", "training.validations", "training.precision",
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
) -> SegmentationTraining:
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
    return SegmentationTraining(
        folder, {f"case{n}": case for n, case in enumerate(cases[:6])}, {f"case{n}": cases[n] for n in (6, 7)}, made,
        s.network, s.training, s.augment, s.inference, spacing, 0, {}, slices=s.slices, init=full.init,
    )  # fmt: skip


#: Sagittal slices last (ASR): mm along i (front), j (head), k (right).
SPINE_AFFINE = np.array([[0, 0, 4.0, 0], [2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 0, 1.0]])
SPINE_SHAPE = (33, 65, 6)


class Spine:
    """A stack of slices with a bright column of five marks on each side, each level of a brightness of its own."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.shape = SPINE_SHAPE
        grid = np.stack(np.meshgrid(*(np.arange(n) for n in self.shape[:2]), indexing="ij"), -1)
        image, points = random.standard_normal(self.shape) * 0.3, []
        middle = random.uniform(13, 19)
        for slices, side in (((0, 1), "left"), ((4, 5), "right")):
            for level in range(5):
                at = (middle + random.uniform(-2, 2), 58 - 12.5 * level + random.uniform(-1, 1))
                for k in slices:
                    image[((grid - at) ** 2).sum(-1) < 9, k] += 1.5 + 1.0 * level
                    x, y, z, _ = SPINE_AFFINE @ (*at, k, 1.0)
                    points.append(Point(f"L{level + 1}", side, (float(x), float(y), float(z))))
        self._image, self.points = image.astype(np.float32)[None], tuple(points)

    def image(self, slices: tuple[slice, slice, slice] | None = None) -> np.ndarray:
        """(1, I, J, K)."""
        return self._image if slices is None else self._image[(slice(None), *slices)]


def published_landmarks(name: str, folder: Path, small: dict[str, Any]) -> LandmarkTraining:
    """The training of a shipped landmark recipe on six spines, two more for validation, made small by ``small``."""
    assert set(small) <= SIZES, set(small) - SIZES
    recipe = Recipe.load(name).changed({"device": "cpu", **small})
    spines = [Spine(n) for n in range(8)]
    cases = {f"case{n}": LandmarkCase(one, SPINE_AFFINE, one.points) for n, one in enumerate(spines)}
    maps = "one" if recipe.landmarks["network"] == "singlenet" else "level"
    layout = Layout.of([one.points for one in spines], maps, recipe.landmarks.get("names"))
    headers = [Header(SPINE_SHAPE, 1, SPINE_AFFINE, "float32", name)] * 8
    plan = plan_landmarks(recipe, headers, layout.count)
    return LandmarkTraining(
        folder, {n: cases[n] for n in list(cases)[:6]}, {n: cases[n] for n in list(cases)[6:]}, layout, plan.landmarks,
        plan.network, 1, plan.training, plan.augment, plan.inference, plan.spacing, 0, {},
    )  # fmt: skip
