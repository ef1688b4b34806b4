"""A map of one answer for one scan: window by window, the mean over the networks, on the scan's own grid.

Knows windows, preparation and the way back. One window of one network is worked on at a time, so memory grows with the scan by a few
maps alone. Does not know tasks or files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from voxloom.attribution.explainable import LAYERED, Explainable, MethodSettings, Question, Score
from voxloom.attribution.image import integrated_gradients, occlusion
from voxloom.attribution.layered import layered_map
from voxloom.attribution.layers import layer_of, places_of
from voxloom.errors import VoxloomError
from voxloom.inference.variation import mirrored
from voxloom.inference.views import Member
from voxloom.prepare import Geometry, prepare_image
from voxloom.run.scans import admit
from voxloom.training.windows import InMemory, Triple, read_padded
from voxloom.volume import Volume

#: Boxes of occlusion along the longest side of what a network sees.
_BOXES = 8
_SLAB_VOXELS = 1 << 22


@dataclass(frozen=True)
class Explained:
    """A map of one answer.

    Parameters
    ----------
    answer : its name.
    map : float32 (1, I, J, K) on the scan's grid; 0 where no network looked. Layered maps have a largest size of 1.
    constant : whether the map is the same everywhere: then it says nothing.
    seen : whether any window shows something of the answer (a label that is not predicted has no map).
    """

    answer: str
    map: Volume
    constant: bool
    seen: bool


def attribute(
    explained: Explainable,
    volume: Volume,
    answer: str,
    settings: MethodSettings = MethodSettings(),
    attributes: Mapping[str, Any] | None = None,
) -> Explained:
    """Where the networks find the reason of an answer.

    Parameters
    ----------
    volume : the scan (C, I, J, K).
    attributes : of the case, for covariates.

    Raises
    ------
    BadInput : an answer, method or layer that there is not, or other channels than the run's.
    VoxloomError : the map is not finite, or a window does not fit into memory.
    """
    number = explained.number_of(answer)
    explained.refuse_method(settings.method)
    admit(volume, explained.channels, explained.may_lack, explained.trained_on)
    explained.refuse(volume)
    total, seen = np.zeros(volume.shape, np.float32), False
    for member in explained.members:
        image, geometry = prepare_image(volume, explained.prepare, member.statistics)
        work = _Work(explained, member, settings, attributes or {}, geometry.spacing)
        found = work.whole(np.asarray(image, np.float32), number)
        if found is not None:
            seen = True
            _add(total, found, geometry, 1 / len(explained.members))
    if not np.isfinite(total).all():
        raise VoxloomError(
            f"the map of {answer} is not finite: weights or scan hold values that cannot be reckoned with"
        )
    largest = float(np.abs(total).max(initial=0))
    constant = largest == 0 or float(np.ptp(total)) < 1e-6 * largest
    if settings.method in LAYERED and largest > 0:
        total /= largest
    return Explained(answer, Volume(total[None], volume.affine, dict(volume.meta)), constant, seen)


def pasted(part: Volume, scan: Volume) -> Volume:
    """The map (1, i, j, k) of a box of a scan, on the scan's grid; 0 outside the box. A map of the whole scan stays as it is."""
    if part.same_grid(scan):
        return part
    offset = np.rint(np.linalg.inv(scan.affine) @ part.affine[:, 3])[:3].astype(int)
    whole, count = np.zeros(scan.shape, np.float32), np.zeros(scan.shape, np.uint16)
    _put(whole, count, part.data[0], (int(offset[0]), int(offset[1]), int(offset[2])))
    return scan.with_data(whole[None])


def _add(total: NDArray[np.float32], values: NDArray[np.float32], geometry: Geometry, share: float) -> None:
    """Add a map on the prepared grid to one on the scan's."""
    for slab in geometry.slabs(_SLAB_VOXELS):
        total[slab[0] : slab[1]] += share * geometry.restore_slab(values, slab)


@dataclass(frozen=True)
class _Work:
    """One network explaining one scan."""

    explained: Explainable
    member: Member
    settings: MethodSettings
    attributes: Mapping[str, Any]
    spacing: tuple[float, float, float]

    def whole(self, image: NDArray[np.float32], number: int) -> NDArray[np.float32] | None:
        """Mean (I, J, K) over the windows that show something of an answer; None where none does."""
        shape: Triple = (image.shape[1], image.shape[2], image.shape[3])
        windows = self.explained.windows(shape)
        question = self.explained.scored(self.settings.method).question(number)
        total, count = np.zeros(shape, np.float32), np.zeros(shape, np.uint16)
        for place in windows.places():
            seen = torch.from_numpy(self.read(image, place, windows.size))[None].to(self.explained.device)
            for axes in self.views():
                found = self.view(seen, axes, question)
                if found is not None:
                    _put(total, count, found, place)
        if not count.any():
            return None
        return np.asarray(total / np.maximum(count, 1), np.float32)

    def views(self) -> list[tuple[int, ...]]:
        """Axes to mirror, for every view that is averaged.

        A feature answers for what lies around it, and training does not care on which side: a network that finds a nodule may do so
        one feature beside it, always to the same side. Mirror images that training showed turn that side around.
        """
        if self.settings.method not in LAYERED or not self.settings.mirror:
            return [()]
        return [view.mirror for view in mirrored(self.explained.mirrors)]

    def view(self, seen: torch.Tensor, axes: tuple[int, ...], question: Question) -> NDArray[np.float32] | None:
        """Map (i, j, k) of a window that is shown mirrored along some axes; None where it shows nothing of the answer."""
        shown = seen.flip([axis + 2 for axis in axes]) if axes else seen
        with torch.no_grad():
            score = question(self.run(shown))
        return None if score is None else np.flip(self.window(shown, score), axes)

    def read(self, image: NDArray[np.float32], place: Triple, size: Triple) -> NDArray[np.float32]:
        """A window (C, i, j, k); beyond the ends lies what the networks are used to."""
        if self.explained.edges == "zero":
            return read_padded(InMemory(image), place, size)
        slices = np.clip(np.arange(place[2], place[2] + size[2]), 0, image.shape[3] - 1)
        return read_padded(InMemory(image[..., slices]), (place[0], place[1], 0), size)

    def run(self, window: torch.Tensor) -> torch.Tensor:
        """The network's output for a window, in full precision."""
        with torch.autocast(window.device.type, enabled=False):
            return self.explained.call(self.member.network, window, self.attributes)

    def window(self, seen: torch.Tensor, score: Score) -> NDArray[np.float32]:
        """Map (i, j, k) of one window."""
        method, size = self.settings.method, tuple(seen.shape[2:])
        if method == "integrated-gradients":
            found = integrated_gradients(self.run, seen, score, self.settings.steps)
        elif method == "occlusion":
            found = occlusion(self.run, seen, score, self.box(size))
        else:
            layer = layer_of(self.member.network, self.settings.layer)
            coarse = layered_map(method, self.run, layer, seen, score, self.member.network)
            places = places_of(self.run, self.member.network, layer, tuple(seen.shape), seen.device)
            return places.spread(coarse.cpu().numpy(), size)
        return found.cpu().numpy()

    def box(self, size: tuple[int, ...]) -> list[int]:
        """Voxels of the box of occlusion."""
        side = self.settings.box_mm or max(n * mm for n, mm in zip(size, self.spacing, strict=True)) / _BOXES
        return [int(min(max(1, round(side / mm)), n)) for n, mm in zip(size, self.spacing, strict=True)]


def _put(total: NDArray[np.float32], count: NDArray[np.uint16], part: NDArray[np.float32], place: Triple) -> None:
    """Add the part of a window that lies in the image."""
    inside, own = [], []
    for start, length, n in zip(place, part.shape, total.shape, strict=True):
        low, high = max(start, 0), min(start + length, n)
        inside.append(slice(low, high))
        own.append(slice(low - start, high - start))
    total[tuple(inside)] += part[tuple(own)]
    count[tuple(inside)] += 1
