"""How large the windows of a prediction are. Knows shapes only."""

from __future__ import annotations

from collections.abc import Sequence

Triple = tuple[int, int, int]


def window_for(shape: Sequence[int], window: Sequence[int], multiple: Sequence[int]) -> Triple:
    """The window for one image: no larger than needed to hold it, in steps that the network can halve.

    Parameters
    ----------
    shape : (I, J, K) of the prepared image.
    window : the largest window.
    multiple : voxels per axis that a network's input must be a multiple of; 1 where an axis has none.
    """
    i, j, k = (min(w, -(-n // m) * m) for n, w, m in zip(shape, window, (*multiple, 1, 1, 1), strict=False))
    return (i, j, k)
