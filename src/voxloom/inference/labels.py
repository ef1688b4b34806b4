"""From streamed probabilities to a label map on the source grid.

Knows how probabilities become labels (the largest wins; regions by threshold and order) and how they travel to the
source grid label by label, slab by slab, so that never more than a few planes of all labels are held. Does not know
files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxloom.dataset.labels import Labels
from voxloom.errors import BadInput
from voxloom.inference.band import Slab, gather
from voxloom.inference.forward import Reading
from voxloom.prepare.geometry import Geometry
from voxloom.prepare.reorient import Turn

#: Source voxels restored at a time.
_SLAB_VOXELS = 1 << 22
_THRESHOLD = 0.5


class Stream(Protocol):
    """Prediction of one image, finished slab by slab: probabilities, or what ``reading`` makes of the scores."""

    def __call__(self, *, reading: Reading | None = None) -> Iterable[Slab]:
        """See :func:`voxloom.inference.stream_map`."""


def restore_labels(stream: Stream, geometry: Geometry, labels: Labels) -> NDArray[Any]:
    """Inner label indices on the source grid (I, J, K) from the prediction on the prepared grid.

    Where preparation did not resample, labels are decided on the prepared grid and copied, those that exclude each other
    from the scores at once; otherwise the probabilities of one label after the other are interpolated onto a few
    source planes and decided. Background outside the cut.

    Raises
    ------
    BadInput : the networks give another number of maps than the labels need.
    """
    if any(abs(scale - 1) > 1e-9 for scale in geometry.scale):
        return _resampled(_checked(stream(), labels), geometry, labels)
    return geometry.restore_labels(gather(_decided(stream, labels), geometry.shape, _index_type(labels))[0])


def _decided(stream: Stream, labels: Labels) -> Iterator[Slab]:
    """Slabs of inner label indices, (1, I, J, K)."""
    if labels.has_regions:
        for slab in _checked(stream(), labels):
            yield replace(slab, values=decide(slab.values, labels)[None])
        return

    def largest(scores: Tensor) -> Tensor:
        _refuse_count(len(scores), labels)
        return most_likely(scores)

    yield from stream(reading=largest)


def most_likely(scores: Tensor) -> Tensor:
    """Index of the largest of L scores (L, ...), a tie to the smaller index: (1, ...), uint8 or, for 256 scores and more, int16."""
    kind = torch.uint8 if len(scores) < 256 else torch.int16
    best = scores[0].clone()
    winner = torch.zeros_like(best, dtype=kind)
    for index, score in enumerate(scores[1:], start=1):
        wins = (score > best).to(kind).mul_(index)  # the index grows; faster than a write under a mask
        torch.maximum(winner, wins, out=winner)
        torch.maximum(best, score, out=best)
    return winner[None]


def decide(maps: Iterable[NDArray[np.float32]], labels: Labels) -> NDArray[Any]:
    """Inner label index per voxel from one probability map after the other.

    Without regions the largest wins (a tie goes to the smaller index). With regions each label above 0.5 writes its
    value, in the order of the labels.
    """
    number = _index_type(labels)
    if labels.has_regions:
        return _decide_regions(maps, labels)
    rest = iter(maps)
    best = np.array(next(rest), dtype=np.float32)
    winner = np.zeros(best.shape, number)
    for index, share in enumerate(rest, start=1):
        wins = share > best
        np.maximum(winner, wins * number(index), out=winner)  # the index grows; faster than a write under a mask
        np.maximum(best, share, out=best)
    return winner


def _decide_regions(maps: Iterable[NDArray[np.float32]], labels: Labels) -> NDArray[Any]:
    values = labels.encode(np.array(labels.written_values))
    inner: NDArray[Any] | None = None
    for share, value in zip(maps, values, strict=True):
        if inner is None:
            inner = np.zeros(share.shape, _index_type(labels))
        inner[share > _THRESHOLD] = value
    assert inner is not None
    return inner


def _index_type(labels: Labels) -> type[np.unsignedinteger[Any]]:
    return np.uint8 if len(labels.declared) < 256 else np.uint16


def _checked(slabs: Iterable[Slab], labels: Labels) -> Iterator[Slab]:
    for slab in slabs:
        _refuse_count(len(slab.values), labels)
        yield slab


def _refuse_count(maps: int, labels: Labels) -> None:
    wanted = labels.count if labels.has_regions else len(labels.atoms) + 1
    if maps != wanted:
        raise BadInput(f"the network gives {maps} maps, the labels need {wanted} ({', '.join(labels.names)})")


def restore_probabilities(
    slabs: Iterable[Slab], geometry: Geometry, labels: Labels, out: NDArray[np.float16]
) -> NDArray[np.float16]:
    """Probabilities on the source grid, written into ``out`` (L, I, J, K), which may lie on disk; 1 for background outside the cut.

    Raises
    ------
    BadInput : the networks give another number of maps than the labels need.
    """
    for axis, start, stop, maps in source_planes(slabs, geometry, labels):
        for n, values in enumerate(maps):
            np.moveaxis(out[n], axis, 0)[start:stop] = values
    return out


def source_planes(
    slabs: Iterable[Slab], geometry: Geometry, labels: Labels
) -> Iterator[tuple[int, int, int, Iterator[NDArray[np.float32]]]]:
    """Probabilities on the source grid, a few planes at a time: source axis, first plane, one beyond the last, and one map after the
    other (planes first), which must be taken before the next planes.

    Raises
    ------
    BadInput : as ``restore_probabilities``.
    """
    yield from _source_planes(_checked(slabs, labels), geometry, labels)


def add_share(total: NDArray[np.float32], probabilities: NDArray[Any], share: float) -> None:
    """Add ``share`` of a member's probabilities (L, I, J, K) to the mean, one map at a time; both may lie on disk."""
    for into, values in zip(total, probabilities, strict=True):
        into += np.asarray(values, np.float32) * np.float32(share)


def _resampled(slabs: Iterator[Slab], geometry: Geometry, labels: Labels) -> NDArray[Any]:
    out = np.zeros(geometry.source_shape, _index_type(labels))
    for axis, start, stop, maps in _source_planes(slabs, geometry, labels):
        np.moveaxis(out, axis, 0)[start:stop] = decide(maps, labels)
    return out


def _source_planes(
    slabs: Iterator[Slab], geometry: Geometry, labels: Labels
) -> Iterator[tuple[int, int, int, Iterator[NDArray[np.float32]]]]:
    """Source axis, first plane, one beyond the last, and one map after the other (planes first), a few planes at a time."""
    first = next(slabs)
    axis = first.axis
    source_axis = geometry.turn.order[axis]
    front = _source_axis_first(geometry, source_axis)
    held = _Planes(axis, first, slabs)
    parts = list(front.slabs(_SLAB_VOXELS))
    for start, stop in reversed(parts) if geometry.turn.flips[axis] else parts:
        low, high = _needed(front, axis, start, stop)
        local = _prepared_part(front, axis, *held.reach(low, high))
        yield source_axis, start, stop, _restored(held, local, (start, stop), labels)
    for _ in slabs:
        pass


def _restored(held: _Planes, local: Geometry, part: tuple[int, int], labels: Labels) -> Iterator[NDArray[np.float32]]:
    for n in range(held.labels):
        yield local.restore_slab(held.label(n), part, float(n == 0 and not labels.has_regions))


class _Planes:
    """The latest slabs of a stream along ``axis``, as far back as they are needed."""

    def __init__(self, axis: int, first: Slab, rest: Iterator[Slab]) -> None:
        self.axis, self.slabs, self.rest = axis, [first], rest
        self.labels = len(first.values)

    def reach(self, low: int, high: int) -> tuple[int, int]:
        """Read on until plane ``high`` - 1, let go of planes before ``low``; the planes now held, (start, stop)."""
        while self.slabs[-1].stop < high:
            self.slabs = [*self._after(low), next(self.rest)]
        self.slabs = self._after(low)
        return self.slabs[0].start, self.slabs[-1].stop

    def _after(self, plane: int) -> list[Slab]:
        return [slab for slab in self.slabs if slab.stop > plane]

    def label(self, number: int) -> NDArray[np.float32]:
        """One label's probabilities (I, J, K) on the planes held."""
        return np.concatenate([slab.values[number] for slab in self.slabs], axis=self.axis)


def _source_axis_first(geometry: Geometry, axis: int) -> Geometry:
    """The same grids with source axis ``axis`` named first, so that source slabs run along it."""
    order = [axis, *(a for a in range(3) if a != axis)]
    i, j, k = (geometry.source_shape[a] for a in order)
    rows = tuple((*(row[a] for a in order), row[3]) for row in geometry.source_affine)
    a, b, c = (order.index(old) for old in geometry.turn.order)
    return replace(geometry, source_shape=(i, j, k), source_affine=rows, turn=Turn((a, b, c), geometry.turn.flips))


def _prepared_part(geometry: Geometry, axis: int, start: int, stop: int) -> Geometry:
    """The geometry of the prepared planes start..stop alone."""
    pad, shape = list(geometry.pad), list(geometry.shape)
    pad[axis] -= start
    shape[axis] = stop - start
    return replace(geometry, pad=(pad[0], pad[1], pad[2]), shape=(shape[0], shape[1], shape[2]))


def _needed(geometry: Geometry, axis: int, start: int, stop: int) -> tuple[int, int]:
    """Prepared planes (low, high) along ``axis`` that the source planes start..stop (first source axis) are made of."""
    to_prepared = np.linalg.inv(geometry.affine) @ np.array(geometry.source_affine)
    at = to_prepared[axis, 0] * np.array([start, stop - 1]) + to_prepared[axis, 3]
    first, last = geometry.pad[axis], geometry.pad[axis] + geometry.resampled[axis] - 1
    low, high = np.clip([np.floor(at.min()) - 1, np.ceil(at.max()) + 1], first, last)
    return int(low), int(high) + 1
