"""A scan to predict and how it is read: one file, a DICOM folder, or one of these per channel.

Knows that channels lie on one grid. What files and folders amount to is found by ``voxloom.run.find_scans``. Does not know networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxloom.dataset.sources import source_files
from voxloom.errors import BadInput
from voxloom.formats import read_channels as read_frames
from voxloom.formats import read_volume
from voxloom.formats.dicom import choose_series
from voxloom.run.scan_check import TrainedOn
from voxloom.volume import Volume


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
    """One volume from a file, a DICOM folder, or one of these per channel on one grid; of folders the named ``series``."""
    paths = [Path(source)] if isinstance(source, (str, Path)) else list(source)
    chosen = [choose_series(path, series) if series and path.is_dir() else path for path in paths]
    volumes = [read_volume(one, resample_tilt=resample_tilt) for one in chosen]
    if len(volumes) == 1:
        return volumes[0]
    for path, volume in zip(paths, volumes, strict=True):
        if not volume.same_grid(volumes[0]):
            raise BadInput(f"lies on another grid than {paths[0]}", path, "Resample the channels onto one grid first")
    return volumes[0].with_data(np.concatenate([v.data for v in volumes]))


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
    return read_channels(scan.source, resample_tilt, scan.series).with_missing(scan.missing)
