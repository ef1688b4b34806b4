"""How often each axis is halved: nnU-Net's rule (Isensee et al., Nature Methods 2021). Knows no tensor."""

from __future__ import annotations

from collections.abc import Sequence

#: A network has at least this many levels, because MONAI's U-Net has an input block, one level and a bottleneck.
FEWEST_LEVELS = 3

Axes = tuple[int, ...]


def plan_levels(
    patch: Sequence[int], spacing: Sequence[float], *, max_levels: int = 6, min_size: int = 4, fixed: bool = False
) -> tuple[tuple[Axes, ...], tuple[Axes, ...]]:
    """Strides and kernels per level.

    Parameters
    ----------
    patch : voxels per axis.
    spacing : mm per axis; an axis is halved once its spacing is within a factor of 2 of the finest that
        can be halved.
    max_levels : levels at most.
    min_size : an axis is not halved below this many voxels.
    fixed : the patch keeps its size, so an axis of an odd number of voxels is not halved.

    Returns
    -------
    (strides, kernels), one entry per level. An axis has kernel 1 until its spacing is within a factor of 2 of the
    finest, then 3 for good. A patch that cannot be halved often enough gets levels of stride 1 up to ``FEWEST_LEVELS``.
    Unless ``fixed``, sizes need not be even on the way: the caller enlarges the patch to a multiple of the strides' product.
    """
    size, now = [float(n) for n in patch], [float(s) for s in spacing]
    kernel = _kernel(now, (1,) * len(size))
    strides, kernels = [(1,) * len(size)], [kernel]
    while len(strides) < max_levels:
        stride = _stride(now, [n >= 2 * min_size and (not fixed or n % 2 == 0) for n in size])
        if max(stride) == 1 and len(strides) >= FEWEST_LEVELS:
            break
        size = [n / k for n, k in zip(size, stride, strict=True)]
        now = [s * k for s, k in zip(now, stride, strict=True)]
        kernel = _kernel(now, kernel)
        strides.append(stride)
        kernels.append(kernel)
    return tuple(strides), tuple(kernels)


def _stride(spacing: Sequence[float], able: Sequence[bool]) -> Axes:
    """2 for the axes that are halved next, of those that can be."""
    finest = min((s for s, yes in zip(spacing, able, strict=True) if yes), default=0.0)
    return tuple(2 if yes and s < 2 * finest else 1 for s, yes in zip(spacing, able, strict=True))


def _kernel(spacing: Sequence[float], before: Axes) -> Axes:
    """3 for the axes that had it before, and for those whose spacing is near the finest."""
    return tuple(3 if k == 3 or s < 2 * min(spacing) else 1 for s, k in zip(spacing, before, strict=True))
