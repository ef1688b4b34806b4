"""How often each axis is halved: nnU-Net's rule (Isensee et al., Nature Methods 2021)."""

from __future__ import annotations

from collections.abc import Sequence

#: A network has at least this many levels, because a U-Net needs an input block, one level and a bottleneck.
FEWEST_LEVELS = 3


def plan_levels(
    patch: Sequence[int], spacing: Sequence[float], *, most: int = 6, min_size: int = 4
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
    """Strides and kernels per level.

    Parameters
    ----------
    patch : voxels per axis.
    spacing : mm per axis; an axis is halved once its spacing is within a factor of 2 of the finest.
    most : levels at most.
    min_size : an axis is not halved below this many voxels.

    Returns
    -------
    (strides, kernels), one entry per level: an axis has kernel 1 until the finer axes have caught up with its spacing.
    """
    size, now = [float(n) for n in patch], list(spacing)
    strides: list[tuple[int, ...]] = [tuple(1 for _ in patch)]
    kernels: list[tuple[int, ...]] = [_kernel(now)]
    while len(strides) < most:
        finest = min(s for s, n in zip(now, size, strict=True) if n >= 2 * min_size) if any(n >= 2 * min_size for n in size) else None
        halve = [finest is not None and n >= 2 * min_size and s < 2 * finest for n, s in zip(size, now, strict=True)]
        if not any(halve) and len(strides) >= FEWEST_LEVELS:
            break
        strides.append(tuple(2 if h else 1 for h in halve))
        size = [n / 2 if h else n for n, h in zip(size, halve, strict=True)]
        now = [s * 2 if h else s for s, h in zip(now, halve, strict=True)]
        kernels.append(_kernel(now))
    return tuple(strides), tuple(kernels)


def _kernel(spacing: Sequence[float]) -> tuple[int, ...]:
    finest = min(spacing)
    return tuple(1 if s > 2 * finest else 3 for s in spacing)
