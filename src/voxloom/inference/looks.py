"""The weighted mean of the probabilities of several views of a scan, in bounded memory.

Knows prepared grids. The probabilities of one view at a time, and the mean, lie on disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from voxloom.inference.band import Slab
from voxloom.inference.forward import Reading
from voxloom.inference.variation import Variation

#: Probabilities of one view, slab by slab.
Predict = Callable[[Variation], Iterable[Slab]]
#: Values that are read at a time.
_BLOCK = 1 << 24


def mean_of_views(
    views: Sequence[Variation],
    predict: Predict,
    size: tuple[int, ...],
    spacing: Sequence[float],
    reading: Reading | None = None,
) -> Iterator[Slab]:
    """The mean probability of some views on the prepared grid, or what is read in its place.

    Parameters
    ----------
    views : at least one.
    predict : probabilities (L, ...) of a view on the grid of its own image, which may be larger.
    size, spacing : voxels and mm of the prepared grid.
    reading : see :func:`voxloom.inference.stream_map`; it is given mean probabilities.
    """
    with tempfile.TemporaryDirectory(prefix="voxloom") as folder:
        total: NDArray[np.float32] | None = None
        whole = sum(view.weight for view in views)
        for view in views:
            held = _held(predict(view), view.size(size, spacing), Path(folder) / "view.npy")
            if total is None:
                shape = (len(held), *size)
                total = np.lib.format.open_memmap(Path(folder) / "mean.npy", "w+", np.float32, shape)
            for into, values in zip(total, view.brought_back(held, size, spacing), strict=True):
                into += view.weight / whole * values
        assert total is not None, "no view was given"
        planes = max(1, _BLOCK // max(1, len(total) * size[1] * size[2]))
        for start in range(0, size[0], planes):
            part = slice(start, start + planes)
            mean = np.ascontiguousarray(total[:, part])
            yield Slab(0, start, mean if reading is None else reading(torch.from_numpy(mean)).numpy())


def _held(slabs: Iterable[Slab], size: tuple[int, ...], path: Path) -> NDArray[np.float16]:
    """All slabs in an array (L, I, J, K) on disk."""
    held: NDArray[np.float16] | None = None
    for slab in slabs:
        if held is None:
            held = np.lib.format.open_memmap(path, "w+", np.float16, (len(slab.values), *size))
        np.moveaxis(held, slab.axis + 1, 0)[slab.start : slab.stop] = np.moveaxis(slab.values, slab.axis + 1, 0)
    assert held is not None
    return held
