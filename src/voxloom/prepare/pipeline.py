"""Prepare one case: remove the bias field, turn, cut, normalize, resample, pad.

Knows the order of the steps and what is learned from the training cases. Does not know the cache. Intensities are
normalized inside the cut and before resampling.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset.faults import all_or_told
from voxloom.errors import BadInput
from voxloom.parallel import map_outcomes
from voxloom.prepare.bias import CaseReader, correct_bias
from voxloom.prepare.crop import Box, body_box, nonzero_box, whole_box
from voxloom.prepare.geometry import Geometry, middle_box, plan_geometry
from voxloom.prepare.intensity import apply_windows, make_finite, normalize_channels
from voxloom.prepare.joint import JointModel, joint_box, sample
from voxloom.prepare.reorient import Turn, turn_to
from voxloom.prepare.settings import ChannelStatistics, PrepareSettings, Statistics
from voxloom.progress import Progress
from voxloom.volume import Volume, orientation_of, spacing_of

if TYPE_CHECKING:
    from voxloom.dataset import Case, Labels

#: As far as a label's voxels may lie from the image's; writers round affines.
_LABEL_TOLERANCE_MM = 1e-2
#: Source bytes that one process has prepared before workers would have started.
_SMALL_SOURCES = 64 << 20
_SAMPLED_CASES = 500
_SAMPLED_VOXELS = 10_000


def prepare_image(
    volume: Volume, settings: PrepareSettings, statistics: Statistics | None = None
) -> tuple[NDArray[np.float32], Geometry]:
    """Prepare the channels of one case.

    Returns
    -------
    The prepared channels, contiguous float32 (C, I, J, K), and the way back to the source grid.

    Raises
    ------
    BadInput : settings and channels do not fit, or statistics are needed and not given.
    """
    return prepare_corrected(correct_bias(volume, settings), settings, statistics)


def prepare_corrected(
    volume: Volume, settings: PrepareSettings, statistics: Statistics | None = None
) -> tuple[NDArray[np.float32], Geometry]:
    """``prepare_image`` of a volume whose bias field has been removed where the settings want that (``CaseReader``)."""
    geometry = plan(volume, settings, statistics)
    return prepare_on(geometry, volume, settings, statistics), geometry


def prepare_on(
    geometry: Geometry, volume: Volume, settings: PrepareSettings, statistics: Statistics | None = None
) -> NDArray[np.float32]:
    """The prepared channels (C, I, J, K) of a volume without bias field, on a grid that is planned already."""
    if settings.crop_or_pad_to is None:
        normalized = normalize_channels(geometry.turn_and_cut(volume.data), settings, statistics)
        return geometry.resample_image(normalized, settings.image_order)
    whole = plan(volume, settings.model_copy(update={"crop_or_pad_to": None}), statistics)
    normalized = normalize_channels(whole.turn_and_cut(volume.data), settings, statistics)
    inner = [slice(a - c, b - c) for (a, b), (c, _) in zip(geometry.box, whole.box, strict=True)]
    return geometry.resample_image(normalized[(slice(None), *inner)], settings.image_order)


def plan(volume: Volume, settings: PrepareSettings, statistics: Statistics | None = None) -> Geometry:
    """The geometry that ``settings`` give this case. A 2D image (K = 1) keeps its axes: its plane may be any."""
    turn = turn_for(volume, settings)
    box = _box(volume, turn, settings, statistics)
    spacing = settings.spacing
    if settings.resize_to is not None:
        own = _turned_spacing(volume, turn)
        wanted = zip(box, own, settings.resize_to, spacing or (None, None, None), strict=True)
        i, j, k = (mm if n is None else (b - a) * old / n for (a, b), old, n, mm in wanted)
        spacing = (i, j, k)
    size = settings.crop_or_pad_to
    if size is not None:
        box = middle_box(box, _turned_spacing(volume, turn), spacing, size)
    return plan_geometry(volume.shape, volume.affine, turn, box, spacing, size or settings.pad_to, size)


def turn_for(volume: Volume, settings: PrepareSettings) -> Turn:
    """The turn to the settings' orientation."""
    if settings.orientation is None or volume.shape[2] == 1:
        return Turn()
    if settings.orientation != "slices":
        return turn_to(volume.affine, settings.orientation)
    upright = turn_to(volume.affine, "RAS")
    own = _turned_spacing(volume, upright)
    thick = max(range(3), key=lambda axis: (round(own[axis], 3), axis))
    return turn_to(volume.affine, "RAS".replace("RAS"[thick], "") + "RAS"[thick])


def _turned_spacing(volume: Volume, turn: Turn) -> tuple[float, float, float]:
    i, j, k = (spacing_of(volume.affine)[axis] for axis in turn.order)
    return (i, j, k)


def _box(volume: Volume, turn: Turn, settings: PrepareSettings, statistics: Statistics | None) -> Box:
    if settings.crop == "none":
        return whole_box(turn.apply(volume.data).shape[1:])
    turned = turn.apply(volume.present)
    finite = np.nan_to_num(turned, posinf=0, neginf=0) if turned.dtype.kind == "f" else turned
    if settings.crop == "nonzero":
        return nonzero_box(finite)
    own = _turned_spacing(volume, turn)
    if settings.crop == "body":
        return body_box(finite, own)
    if statistics is None or statistics.joint is None:
        raise BadInput("'joint' needs what the training cases taught", "prepare.crop")
    center = statistics.joint.center(finite[0], own, _turned_codes(volume, turn))
    i, j, k = joint_box(turned.shape[1:], own, center, settings.joint_mm)
    return (i, j, k)


def _turned_codes(volume: Volume, turn: Turn) -> str:
    return orientation_of(volume.affine @ turn.matrix(volume.shape))


def prepare_label(volume: Volume, geometry: Geometry, labels: Labels) -> NDArray[Any]:
    """Prepare a label map on the grid of its image.

    Returns
    -------
    Inner label indices (I, J, K), uint8 or uint16, on the prepared grid.

    Raises
    ------
    BadInput : the label map lies on another grid, or holds a value that is not declared.
    """
    source = Volume(
        np.empty((1, *geometry.source_shape), np.bool_),
        np.array(geometry.source_affine),
    )
    if not volume.same_grid(source, _LABEL_TOLERANCE_MM):
        raise BadInput(
            f"the label's grid {volume.shape} differs from the image's {geometry.source_shape}, or its affine does",
            volume.meta.get("source"),
        )
    return geometry.prepare_labels(labels.encode(volume.data[0]))


def measure_statistics(
    cases: Sequence[Case],
    settings: PrepareSettings,
    labels: Labels | None,
    *,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> Statistics:
    """Measure what the settings' normalizations need, over these (training) cases only.

    At most 500 cases and 10,000 voxels of each are drawn; the draw depends on the seed and the case's id, not on order
    or workers. "ct" and "zscore_mask" draw from the foreground, before any window; cases without labels give voxels from
    anywhere, the ``ignore`` label counts as no foreground. "zscore_sample" draws from anywhere, after the windows.
    ``folder`` keeps images whose bias field was removed on the way.

    Raises
    ------
    BadInput : cases are refused (all of that kind are named), or no case has any foreground.
    """
    drawn = sorted(cases, key=lambda case: _seed(seed, case.id))[:_SAMPLED_CASES]
    items = [(case.id, case) for case in sorted(drawn, key=lambda case: case.id)]
    work = partial(_sample, reader=CaseReader(settings, folder), labels=labels, seed=seed)
    count = workers_for(drawn, workers, settings)
    parts = [
        values
        for _, values in all_or_told(map_outcomes(work, items, step="measuring", workers=count, progress=progress))
    ]
    channels = [np.concatenate(values) for values in zip(*parts, strict=True)]
    if not channels or not all(len(values) for values in channels):
        raise BadInput(
            "no training case has a labeled voxel to measure intensities in",
            fix="Check the labels",
        )
    joint = None
    if settings.crop == "joint":
        looks = partial(_joint_sample, reader=CaseReader(settings, folder))
        found = all_or_told(map_outcomes(looks, items, step="looking for joints", workers=count, progress=progress))
        joint = JointModel.learn([one for _, one in found if one is not None])
    return Statistics(tuple(_statistics(values) for values in channels), joint)


def _joint_sample(case: Case, *, reader: CaseReader) -> tuple[str, NDArray[np.float32]] | None:
    """The axis codes and the look of a case around its joint; None without a label of both bones."""
    image, label = reader(case), case.read_label()
    if label is None or 0 in image.missing:
        return None
    turn = turn_for(image, reader.settings)
    outer = turn.apply(label.data)[0]
    one, other = reader.settings.joint_labels
    patch = sample(turn.apply(image.data)[0], outer == one, outer == other, _turned_spacing(image, turn))
    return None if patch is None else (_turned_codes(image, turn), patch)


def _statistics(values: NDArray[np.float32]) -> ChannelStatistics:
    lo, hi = np.percentile(values, (0.5, 99.5))
    return ChannelStatistics(
        float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64)), float(lo), float(hi)
    )


def workers_for(cases: Sequence[Case], workers: int | None, settings: PrepareSettings) -> int | None:
    """The workers asked for; when none are, 1 for quick work and None (all cores) for N4 or more than 64 MiB of files."""
    if workers is not None or (settings.n4 and len(cases) > 1):
        return workers
    files = {path for case in cases for path in case.source_files}
    return 1 if sum(path.stat().st_size for path in files if path.is_file()) < _SMALL_SOURCES else None


def _sample(case: Case, *, reader: CaseReader, labels: Labels | None, seed: int) -> list[NDArray[np.float32]]:
    """Up to 10,000 finite voxels per channel of a case, from where the channel's normalization learns."""
    image = reader(case)
    kinds = reader.settings.normalizations(image.channels)
    inside = np.arange(0)
    if set(kinds) != {"zscore_sample"}:
        inside = _foreground(case, image, labels)
    rng = np.random.default_rng(_seed(seed, case.id))
    labelled = np.sort(rng.choice(inside, min(_SAMPLED_VOXELS, len(inside)), replace=False))
    flat = image.data.reshape(image.channels, -1)
    anywhere = np.sort(rng.choice(flat.shape[1], min(_SAMPLED_VOXELS, flat.shape[1]), replace=False))
    there = [n for n in range(image.channels) if n not in image.missing]
    chosen = flat[:, labelled].astype(np.float32)
    chosen = chosen[:, np.isfinite(chosen[there]).all(axis=0)]
    nothing = np.empty(0, np.float32)
    return [
        nothing
        if n not in there
        else _windowed(flat[n], reader.settings)[anywhere]
        if kind == "zscore_sample"
        else chosen[n]
        for n, kind in enumerate(kinds)
    ]


def _windowed(channel: NDArray[Any], settings: PrepareSettings) -> NDArray[np.float32]:
    """A copy of one channel after its windows; what is not finite becomes the smallest finite value."""
    values = channel.astype(np.float32)
    make_finite(values)
    apply_windows(values, settings)
    return values


def _foreground(case: Case, image: Volume, labels: Labels | None) -> NDArray[np.intp]:
    """Flat indices of the labeled voxels of a case, all voxels where it has no label."""
    label = case.read_label() if labels is not None else None
    if label is None or labels is None:
        return np.arange(int(np.prod(image.shape)))
    inner = labels.encode(label.data[0]).ravel()
    return np.flatnonzero((inner > 0) & (inner != (labels.ignore_index or 0)))


def _seed(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big")
