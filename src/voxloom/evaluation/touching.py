"""Telling structures apart that touch: a mask is cut where it is narrow.

Knows masks and spacings; the rule has no scale, so that it holds for a child's vertebra as for an adult's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxloom.connected import connected

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]

#: A neck is a cut when its half width is below this share of the half width of the narrower of both sides.
NECK = 0.7


def split_touching(mask: Mask, spacing: Spacing, *, neck: float = NECK, smallest: float = 0.0) -> NDArray[np.uint32]:
    """Number the structures of a mask.

    Every connected piece (26 neighbors) is divided into the basins of its distance to the border (watershed, Beucher and
    Meyer 1993). Two neighboring basins are one structure unless the pass between them is narrow: its distance to the border of the
    piece (that of the image is none) is below ``neck`` times the smaller of both basins' largest distances.

    Parameters
    ----------
    mask : (I, J, K).
    spacing : mm, order i j k.
    smallest : voxels; a smaller part joins the neighbor to which its pass is widest, a smaller piece is left out.

    Returns
    -------
    (I, J, K) numbers from 1 without gaps, 0 outside.
    """
    from scipy import ndimage

    out = np.zeros(mask.shape, dtype=np.uint32)
    pieces = connected(mask)
    count = 0
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        if box is None:
            continue
        box = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)
        piece = pieces[box] == number
        if piece.sum() < smallest:
            continue
        parts = _parts(piece, spacing, neck, smallest)
        out[box][piece] = parts[piece] + count
        count += int(parts.max())
    return out


def _parts(piece: Mask, spacing: Spacing, neck: float, smallest: float) -> NDArray[np.int64]:
    """Numbers of the parts of one connected piece.

    It is thought to go on beyond the border of the image, so that a single slice, and a slab of few, are cut where they are narrow
    in their plane.
    """
    from scipy import ndimage

    if piece.all():
        return np.ones(piece.shape, np.int64)
    depth = ndimage.distance_transform_edt(piece, sampling=spacing)
    basins = _basins(depth, piece)
    count = int(basins.max())
    if count < 2:
        return basins
    peaks = ndimage.maximum(depth, basins, np.arange(count + 1))
    sizes = np.bincount(basins.ravel(), minlength=count + 1)
    passes = _passes(basins, depth)
    leader = list(range(count + 1))

    def lead(n: int) -> int:
        while leader[n] != n:
            n = leader[n]
        return n

    for joins in (
        lambda a, b, width: width >= neck * min(peaks[a], peaks[b]),
        lambda a, b, width: min(sizes[a], sizes[b]) < smallest,
    ):
        for width, first, second in passes:  # the widest first
            a, b = lead(first), lead(second)
            if a != b and joins(a, b, width):
                leader[b], peaks[a] = a, max(peaks[a], peaks[b])
                sizes[a] += sizes[b]
    led = np.array([lead(n) for n in range(count + 1)])
    _, numbered = np.unique(led, return_inverse=True)  # 0 leads itself, so the outside stays 0
    found: NDArray[np.int64] = numbered[basins]
    return found


def _basins(depth: NDArray[np.float64], piece: Mask) -> NDArray[np.int64]:
    """The basin of each voxel of a piece, from 1; 0 outside."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(-depth.astype(np.float32))
    found = sitk.GetArrayFromImage(sitk.MorphologicalWatershed(image, 0.0, False, True)).astype(np.int64)
    return np.where(piece, found, 0)


def _passes(basins: NDArray[np.int64], depth: NDArray[np.float64]) -> list[tuple[float, int, int]]:
    """Half width in mm of the widest pass between every two basins that share a face, and the basins; the widest first."""
    widest: dict[tuple[int, int], float] = {}
    for axis in range(basins.ndim):
        low, high = (np.moveaxis(basins, axis, 0)[cut] for cut in (slice(None, -1), slice(1, None)))
        through = np.minimum(*(np.moveaxis(depth, axis, 0)[cut] for cut in (slice(None, -1), slice(1, None))))
        meet = (low != high) & (low > 0) & (high > 0)
        for a, b, width in zip(low[meet].tolist(), high[meet].tolist(), through[meet].tolist(), strict=True):
            pair = (min(a, b), max(a, b))
            widest[pair] = max(width, widest.get(pair, 0.0))
    return sorted(((width, *pair) for pair, width in widest.items()), key=lambda entry: (-entry[0], entry[1:]))
