"""Artifacts of MR acquisition, by TorchIO: ghosts, motion, spikes in k-space, thick slices.

TorchIO's deterministic transforms are given the parameters that were drawn here, patch by patch on the CPU; a patch whose strength
is neutral stays bit for bit as it is. A single slice (K = 1) is handed over as a sagittal one, because TorchIO fills k-space along the
last axis. Knows no randomness: TorchIO's own draws are kept away from torch's generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from voxloom.augment.intensity import on_chosen
from voxloom.augment.spatial import Spacing, per_patch_mm

#: Mm along i, j, k of one patch.
Grid = list[float]
#: Movements of the patient during one acquisition.
MOVEMENTS = 2


def ghosting(image: Tensor, ghosts: Tensor) -> Tensor:
    """Copies of the object along an axis, of a pulsing or breathing patient.

    Parameters
    ----------
    image : (B, C, I, J, K). ghosts : (B, 3) number of ghosts, axis (0, 1, 2), strength; strength 0 changes nothing.
    """

    def change(patch: Tensor, drawn: list[float], _: Grid) -> Tensor:
        import torchio

        number, axis, strength = int(drawn[0]), int(drawn[1]), drawn[2]
        return _applied(torchio.Ghosting(num_ghosts=number, axis=axis, intensity=strength, restore=None), patch, None)

    return _per_patch(image, ghosts, ghosts[:, 2] != 0, change)


def motion(image: Tensor, movements: Tensor, spacing: Spacing) -> Tensor:
    """The patient moved during acquisition: parts of k-space come from a turned and shifted image (Shaw et al. 2019).

    Parameters
    ----------
    movements : (B, 2, 7) time of each movement (0 to 1), turns in degrees about i, j, k, shifts in mm. No turn and no shift
        change nothing; a single slice is turned about k and shifted in its plane.
    spacing : mm, order i j k, of all patches or of each.
    """
    flat = image.shape[4] == 1

    def change(patch: Tensor, drawn: list[list[float]], grid: Grid) -> Tensor:
        import numpy as np
        import torchio

        values = np.array(drawn)
        times, degrees, shifts = values[:, 0], values[:, 1:4], values[:, 4:7]
        if flat:
            patch = patch.movedim(-1, 1)
            degrees = np.stack([degrees[:, 2], 0 * times, 0 * times], 1)
            shifts = np.stack([0 * times, shifts[:, 0], shifts[:, 1]], 1)
        moved = torchio.Motion(degrees=degrees, translation=shifts, times=times, image_interpolation="linear")
        turned = [grid[2], grid[0], grid[1]] if flat else grid
        found = _applied(moved, patch, turned)
        return found.movedim(1, -1) if flat else found

    return _per_patch(image, movements, (movements[..., 1:] != 0).flatten(1).any(1), change, spacing)


def spike(image: Tensor, spikes: Tensor) -> Tensor:
    """A spark during readout: one point of k-space is too strong, stripes in the image.

    Parameters
    ----------
    spikes : (B, 4) position in k-space (three shares of its size), strength relative to the largest value; 0 changes nothing.
    """

    def change(patch: Tensor, drawn: list[float], _: Grid) -> Tensor:
        import numpy as np
        import torchio

        return _applied(torchio.Spike(spikes_positions=np.array([drawn[:3]]), intensity=drawn[3]), patch, None)

    return _per_patch(image, spikes, spikes[:, 3] != 0, change)


def anisotropy(image: Tensor, factors: Tensor, spacing: Spacing) -> Tensor:
    """As if scanned with thicker slices along one axis: sampled ``factor`` times coarser there, and read back linearly.

    Parameters
    ----------
    factors : (B, 2) axis and factor; 1 changes nothing.
    """

    def change(patch: Tensor, drawn: list[float], grid: Grid) -> Tensor:
        import torchio

        axis, factor = int(drawn[0]), drawn[1]
        return _applied(torchio.RandomAnisotropy(axes=axis, downsampling=(factor, factor)), patch, grid)

    return _per_patch(image, factors, factors[:, 1] != 1, change, spacing)


def _per_patch(
    image: Tensor,
    values: Tensor,
    chosen: Tensor,
    change: Callable[[Tensor, Any, Grid], Tensor],
    spacing: Spacing = (1.0, 1.0, 1.0),
) -> Tensor:
    """``change(patch (C, I, J, K), drawn values, mm along i, j, k)`` of the chosen patches."""
    grids = per_patch_mm(spacing, len(image)).tolist()

    def changed(x: Tensor, indices: Tensor) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            patches = [change(p.cpu(), values[n].tolist(), grids[n]) for p, n in zip(x, indices, strict=True)]
        return torch.stack(patches).to(x)

    return on_chosen(image, chosen, changed)


def _applied(transform: Any, patch: Tensor, spacing: Sequence[float] | None) -> Tensor:
    """TorchIO's transform of one patch (C, I, J, K) whose center lies at the origin."""
    import torchio

    affine = torch.diag(torch.tensor([*(spacing or (1.0, 1.0, 1.0)), 1.0], dtype=torch.float64))
    affine[:3, 3] = -affine[:3, :3] @ (torch.tensor(patch.shape[1:], dtype=torch.float64) - 1) / 2
    subject = torchio.Subject(image=torchio.ScalarImage(tensor=patch.float().contiguous(), affine=affine.numpy()))
    data: Tensor = transform(subject)["image"].data
    return data
