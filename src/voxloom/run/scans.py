"""A scan to predict and how it is read: one file, a DICOM folder, or one of these per channel.

Knows that channels lie on one grid, that of the first, or are brought onto it where DICOM says how they lie to one another. What files
and folders amount to is found by ``voxloom.run.find_scans``. Does not know networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from voxloom.dataset.sources import source_files
from voxloom.errors import BadInput
from voxloom.formats import read_channels as read_frames
from voxloom.formats import read_volume
from voxloom.formats.dicom import choose_series
from voxloom.notes import tell
from voxloom.run.scan_check import TrainedOn
from voxloom.volume import Volume

#: What ``resampled_channels`` reads of a volume's ``meta``: by the number of a channel, how it was brought onto the grid.
_RESAMPLED = "resampled_channels"


def admit(volume: Volume, channels: Sequence[str], may_lack: bool = False, trained_on: TrainedOn | None = None) -> None:
    """Let a scan through to the networks of a run: refuse it as ``refuse_channels`` does, and tell how it is unlike the training.

    Whatever the task and the verb, every scan passes here.

    Parameters
    ----------
    trained_on : what the training cases were like; None compares nothing.
    """
    refuse_channels(volume, channels, may_lack)
    if trained_on is not None:
        trained_on.warn(volume)


def refuse_channels(volume: Volume, channels: Sequence[str], may_lack: bool = False) -> None:
    """Refuse a scan with another number of channels than the training had, or without one that the networks need."""
    if volume.channels != len(channels):
        raise BadInput(
            f"{volume.channels} channel(s) given, the run was trained on {len(channels)} ({', '.join(channels)})",
            volume.meta.get("source"),
            "Give one file per channel, named CASE_0000, CASE_0001, ...",
        )
    missing = volume.missing
    if len(missing) == len(channels) or (missing and not may_lack):
        raise BadInput(
            f"channel {channels[missing[0]]} is missing, and the run did not learn to do without it",
            volume.meta.get("source"),
            "Give the image, or train with augment.channel_dropout",
        )


def read_channels(
    source: str | Path | Sequence[Path], resample_tilt: bool = False, series: Sequence[str] = ()
) -> Volume:
    """One volume from a file, a DICOM folder, or one of these per channel; of folders the named ``series``.

    Channels on another grid than the first are resampled onto its grid as ``voxloom select`` does it for training (linear, by
    the DICOM geometry), where both name the same frame of reference. That is told, and kept as ``resampled_channels`` gives it.

    Raises
    ------
    BadInput : a source cannot be read, or lies on another grid and cannot be laid over the first.
    """
    paths = [Path(source)] if isinstance(source, (str, Path)) else list(source)
    chosen = [choose_series(path, series) if series and path.is_dir() else path for path in paths]
    volumes = [read_volume(one, resample_tilt=resample_tilt) for one in chosen]
    if len(volumes) == 1:
        return volumes[0]
    first = volumes[0]
    placed = [
        v if v.same_grid(first) else _onto(v, first, path, paths[0]) for path, v in zip(paths, volumes, strict=True)
    ]
    how = {n: _alignment(volume) for n, volume in enumerate(placed) if volume is not volumes[n]}
    whole = first.with_data(np.concatenate([volume.data for volume in placed]))
    return replace(whole, meta={**whole.meta, _RESAMPLED: how}) if how else whole


def resampled_channels(volume: Volume, channels: Sequence[str]) -> dict[str, str]:
    """How channels of a scan came onto its grid, by their names; those that lay on it are not among them."""
    told: Mapping[int, str] = volume.meta.get(_RESAMPLED, {})
    return {channels[n]: how for n, how in told.items()}


def _onto(moving: Volume, first: Volume, path: Path, onto: Path) -> Volume:
    """A channel on the grid of the first (BadInput where nobody knows how they lie to one another)."""
    from voxloom.archive.align import align

    what, fix = f"lies on another grid than {onto}", "Resample the channels onto one grid first"
    frames, patients = ([v.meta.get(key) for v in (moving, first)] for key in ("frame_of_reference_uid", "patient_id"))
    if not all(frames) or moving.channels != 1 or first.channels != 1:
        raise BadInput(what, path, fix)
    if all(patients) and patients[0] != patients[1]:
        raise BadInput(f"{what}, and is of another patient", path, "Give the series of one examination")
    try:
        placed = align(moving, first)
    except BadInput as error:
        raise BadInput(f"{what}: {error.what}", path, fix) from None
    tell(path, f"lies on another grid than {onto}: {_alignment(placed)}")
    return placed


def _alignment(placed: Volume) -> str:
    return f"{placed.meta['alignment']}, covers {100 * placed.meta['covered']:.3g} % of the grid"


@dataclass(frozen=True)
class Scan:
    """One scan to predict.

    Parameters
    ----------
    name : of the result, without ending.
    source : one file or DICOM folder per channel, or one that holds all channels.
    ending : of the result.
    missing : numbers of the channels that have no file.
    whole : whether the one file holds several channels (4D NIfTI of the Decathlon, RGB picture).
    series : what names the series to read of each DICOM folder; empty where a folder holds one.
    """

    name: str
    source: tuple[Path, ...]
    ending: str
    missing: tuple[int, ...] = ()
    whole: bool = False
    series: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """Every file that the scan is read from; of a DICOM folder all."""
        return [file for path in self.source for file in source_files(str(path))]


def read_scan(scan: Scan, resample_tilt: bool = False) -> Volume:
    """The channels of a scan; missing ones hold nothing but NaN."""
    if scan.whole:
        return read_frames(scan.source[0])
    volume = read_channels(scan.source, resample_tilt, scan.series).with_missing(scan.missing)
    how = volume.meta.get(_RESAMPLED)
    if not how or not scan.missing:
        return volume
    there = [n for n in range(volume.channels) if n not in scan.missing]
    return replace(volume, meta={**volume.meta, _RESAMPLED: {there[n]: text for n, text in how.items()}})
