"""A scan as the networks of a run must see it: prepared with what each of them learned from its own training cases.

Knows members (a network and its statistics) and preparation. Members with equal statistics share a prepared image; images on one
prepared grid are laid one behind the other as channels, so that windows run over them once. Knows no labels.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxloom.inference import NetworkFunction
from voxloom.prepare import Geometry, PrepareSettings, Statistics
from voxloom.prepare.bias import correct_bias
from voxloom.prepare.pipeline import plan, prepare_corrected, prepare_on
from voxloom.volume import Volume


@dataclass(frozen=True)
class Member:
    """One trained fold: its network and the statistics of its own training cases."""

    network: nn.Module
    statistics: Statistics | None


@dataclass(frozen=True)
class View:
    """What some members of a run see of a scan.

    Parameters
    ----------
    image : float32 (n * C, I, J, K): the channels as the first statistics prepare them, then as the second do, ...
    geometry : the way back from the prepared grid.
    networks : one per member; each takes its own channels out of the windows.
    """

    image: NDArray[np.float32]
    geometry: Geometry
    networks: tuple[NetworkFunction, ...]


@dataclass(frozen=True)
class _Part:
    """A network that sees the channels ``start`` to ``stop`` of its windows."""

    network: NetworkFunction
    start: int
    stop: int

    def __call__(self, windows: Tensor) -> Tensor:
        plain = windows.is_contiguous()
        last = torch.channels_last if windows.ndim == 4 else torch.channels_last_3d
        seen = windows[:, self.start : self.stop]
        return self.network(seen.contiguous(memory_format=torch.contiguous_format if plain else last))


@contextlib.contextmanager
def views(
    volume: Volume, settings: PrepareSettings, members: Sequence[Member], depth: int = 1
) -> Iterator[tuple[View, ...]]:
    """Prepare a scan for every member: one view per prepared grid, and once for members with equal statistics.

    With several statistics the prepared images lie on disk while the block runs, so that memory does not grow with them.

    Parameters
    ----------
    volume : the scan (C, I, J, K).
    depth : slices that a 2D network sees of every channel.
    """
    corrected = correct_bias(volume, settings)
    groups = _by_statistics(members)
    if len(groups) == 1:
        image, geometry = prepare_corrected(corrected, settings, members[0].statistics)
        yield (View(image, geometry, tuple(member.network for member in members)),)
        return
    grids: dict[Geometry, list[list[Member]]] = {}
    for group in groups:
        grids.setdefault(plan(corrected, settings, group[0].statistics), []).append(group)
    with tempfile.TemporaryDirectory(prefix="voxloom") as folder:
        yield tuple(
            _one_behind_the_other(corrected, settings, geometry, alike, depth, Path(folder) / f"{n}.npy")
            for n, (geometry, alike) in enumerate(grids.items())
        )


def _by_statistics(members: Sequence[Member]) -> list[list[Member]]:
    groups: list[list[Member]] = []
    for member in members:
        group = next((group for group in groups if group[0].statistics == member.statistics), None)
        if group is None:
            groups.append([member])
        else:
            group.append(member)
    return groups


def _one_behind_the_other(
    volume: Volume,
    settings: PrepareSettings,
    geometry: Geometry,
    groups: Sequence[Sequence[Member]],
    depth: int,
    path: Path,
) -> View:
    """The view of groups of members whose statistics give the same grid."""
    count = volume.channels
    image = np.lib.format.open_memmap(path, "w+", np.float32, (len(groups) * count, *geometry.shape))
    networks: list[NetworkFunction] = []
    for n, group in enumerate(groups):
        image[n * count : (n + 1) * count] = prepare_on(geometry, volume, settings, group[0].statistics)
        networks += [_Part(member.network, n * count * depth, (n + 1) * count * depth) for member in group]
    return View(image, geometry, tuple(networks))
