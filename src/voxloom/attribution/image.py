"""Attribution to the voxels themselves: integrated gradients, and what is lost when a box covers them. Knows tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor

from voxloom.attribution.explainable import Score


def integrated_gradients(run: Callable[[Tensor], Tensor], image: Tensor, score: Score, steps: int) -> Tensor:
    """Share (i, j, k) of every voxel in the difference of the score from that of an image of zeros (Sundararajan et al. 2017).

    Shares sum to that difference up to the error of ``steps`` rectangles at their middles. One step at a time is in memory.
    """
    total = torch.zeros_like(image, dtype=torch.float32)
    for n in range(steps):
        seen = (image * ((n + 0.5) / steps)).detach().requires_grad_()
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(score(run(seen)).sum(), seen)
        total += slope.float()
    return (total * image / steps).sum(1)[0]


def occlusion(run: Callable[[Tensor], Tensor], image: Tensor, score: Score, box: Sequence[int]) -> Tensor:
    """How much of the score is lost when a box (voxels per axis) around a voxel is covered (Zeiler and Fergus 2014), (i, j, k).

    The box moves by half its side, and shows the mean of each channel; a voxel gets the mean over the boxes that cover it.
    """
    size = image.shape[2:]
    with torch.no_grad():
        whole = float(score(run(image)))
        mean = image.mean(tuple(range(2, image.ndim)), keepdim=True)
        lost = torch.zeros(size, dtype=torch.float32)
        covered = torch.zeros(size, dtype=torch.float32)
        for place in product(*(_starts(n, b) for n, b in zip(size, box, strict=True))):
            where = tuple(slice(at, at + b) for at, b in zip(place, box, strict=True))
            hidden = image.clone()
            hidden[(slice(None), slice(None), *where)] = mean
            lost[where] += whole - float(score(run(hidden)))
            covered[where] += 1
    return lost / covered


def _starts(size: int, box: int) -> list[int]:
    last = max(0, size - box)
    return sorted({*range(0, last, max(1, box // 2)), last})
