"""Uncertainty maps: how far the probabilities of a voxel scatter over networks and mirror images.

Knows predictors of runs and of ensembles. Every pass lies on disk while it is added; memory holds two maps of one label.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.prepare.pipeline import turn_for
from voxloom.study.predict import Predictor
from voxloom.volume import Volume

#: Fills an array (maps, I, J, K) with the probabilities of one pass.
Pass = Callable[[NDArray[np.float16]], Any]


def uncertainty(predictors: Sequence[Predictor], volume: Volume) -> Volume:
    """Standard deviation (n - 1) of the probabilities over all passes, the largest of all labels at each voxel.

    Parameters
    ----------
    predictors : a run, or the members of an ensemble. Every network, and every mirror image along axes that it was trained or is
        predicted with, is a pass of its own.
    volume : the scan (C, I, J, K).

    Returns
    -------
    Volume (1, I, J, K), float32 from 0 to about 0.7, on the scan's own grid.

    Raises
    ------
    BadInput : there is one pass only.
    """
    passes = [one for predictor in predictors for one in _passes(predictor, volume)]
    if len(passes) < 2:
        raise BadInput(
            "one network that was trained without mirror images has no spread",
            volume.meta.get("source"),
            "Train more folds, or with augment.mirror; or mirror all the same: --tta",
        )
    maps = predictors[0].maps
    with tempfile.TemporaryDirectory(prefix="voxloom") as folder:
        shape = (maps, *volume.shape)
        open_map = partial(np.lib.format.open_memmap, mode="w+", shape=shape)
        held = open_map(f"{folder}/pass.npy", dtype=np.float16)
        mean, squares = (open_map(f"{folder}/{name}.npy", dtype=np.float32) for name in ("mean", "squares"))
        for n, one in enumerate(passes, start=1):
            one(held)
            for values, so_far, spread in zip(held, mean, squares, strict=True):
                _add(values.astype(np.float32), so_far, spread, n)
        widest = squares[0].copy()
        for spread in squares[1:]:
            np.maximum(widest, spread, out=widest)
    found = np.sqrt(np.maximum(widest, 0) / (len(passes) - 1))
    return Volume(np.asarray(found, np.float32)[None], volume.affine, dict(volume.meta))


def _add(values: NDArray[np.float32], mean: NDArray[np.float32], squares: NDArray[np.float32], n: int) -> None:
    """Welford's update of mean and sum of squared deviations by the n-th values."""
    difference = values - mean
    mean += difference / n
    squares += difference * (values - mean)


def _passes(predictor: Predictor, volume: Volume) -> Iterator[Pass]:
    """One per network and mirror image; the scan is mirrored in its own grid, and the answer mirrored back."""
    alone = replace(predictor, inference=predictor.inference.model_copy(update={"mirror": ()}))
    order = turn_for(volume, predictor.prepare).order
    mirrored = predictor.inference.mirror or predictor.trained_mirror
    axes = sorted(order[axis] for axis in mirrored if volume.shape[order[axis]] > 1)
    for member in predictor.members:
        single = replace(alone, members=(member,))
        for count in range(len(axes) + 1):
            for chosen in combinations(axes, count):
                yield partial(_mirrored, single, volume, tuple(axis + 1 for axis in chosen))


def _mirrored(predictor: Predictor, volume: Volume, axes: tuple[int, ...], out: NDArray[np.float16]) -> None:
    seen = volume.with_data(np.ascontiguousarray(np.flip(volume.data, axes)))
    predictor.probabilities(seen, np.flip(out, axes))
