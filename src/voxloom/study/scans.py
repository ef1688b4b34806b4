"""Scans to predict: what a file, a DICOM folder, a folder of files, or several channels by nnU-Net's ``_0000`` suffix amount to.

Knows names and how channels of one scan are read together. Does not know networks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxloom.errors import BadInput
from voxloom.formats import ending_of, read_volume, result_ending
from voxloom.volume import Volume

_CHANNEL = re.compile(r"^(?P<case>.+)_(?P<channel>\d{4})$")


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


def read_channels(source: str | Path | Sequence[Path], resample_tilt: bool = False) -> Volume:
    """One volume from a file, a DICOM folder, or one file per channel on one grid."""
    if isinstance(source, (str, Path)):
        return read_volume(source, resample_tilt=resample_tilt)
    volumes = [read_volume(path, resample_tilt=resample_tilt) for path in source]
    for path, volume in zip(source, volumes, strict=True):
        if not volume.same_grid(volumes[0]):
            raise BadInput(f"lies on another grid than {source[0]}", path, "Resample the channels onto one grid first")
    return volumes[0].with_data(np.concatenate([v.data for v in volumes]))


@dataclass(frozen=True)
class Scan:
    """One scan to predict: its name and its source, one file per channel or a DICOM folder; ``missing`` channels have none."""

    name: str
    source: tuple[Path, ...]
    ending: str
    missing: tuple[int, ...] = ()


def read_scan(scan: Scan, resample_tilt: bool = False) -> Volume:
    """The channels of a scan; missing ones hold nothing but NaN."""
    source = scan.source[0] if len(scan.source) == 1 else list(scan.source)
    return read_channels(source, resample_tilt).with_missing(scan.missing)


def find_scans(inputs: Sequence[str | Path], channels: int, may_lack: bool = False) -> list[Scan]:
    """Scans named by files and folders.

    Parameters
    ----------
    may_lack : take scans of which channel files are missing; the numbers in the names say which.

    A file is a scan; with several channels, files ``CASE_0000``, ``CASE_0001`` ... are one. A folder is the scans in it when
    it holds image files, otherwise one DICOM series.

    Raises
    ------
    BadInput : a path does not exist, nothing was found, a channel is missing, or two scans would get one name.
    """
    scans: list[Scan] = []
    for path in map(Path, inputs):
        if not path.exists():
            raise BadInput("no such file or folder", path)
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if ending_of(p) and not p.name.startswith("."))
            scans += group_channels(files, channels, may_lack) if files else [Scan(path.name, (path,), ".nii.gz")]
        elif ending_of(path):
            scans += group_channels([path] if channels == 1 else siblings(path), channels, may_lack)
        else:
            scans.append(Scan(path.stem, (path,), ".nii.gz"))
    unique = {scan.source: scan for scan in scans}
    names = [scan.name for scan in unique.values()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(
            f"several inputs would be written as {', '.join(twice)}", None, "Predict them into different folders"
        )
    return list(unique.values())


def siblings(path: Path) -> list[Path]:
    """All channel files of the case that ``path`` belongs to."""
    ending = ending_of(path) or ""
    match = _CHANNEL.match(path.name[: -len(ending)])
    return sorted(path.parent.glob(f"{match['case']}_[0-9][0-9][0-9][0-9]{ending}")) if match else [path]


def group_channels(files: Sequence[Path], channels: int, may_lack: bool = False) -> list[Scan]:
    """Scans from files; suffixes ``_0000`` ... name channels, of which some ``may_lack``."""
    groups: dict[str, list[Path]] = {}
    for path in files:
        stem = path.name[: -len(ending_of(path) or "")]
        match = _CHANNEL.match(stem)
        groups.setdefault(match["case"] if match else stem, []).append(path)
    missing = {name: missing_numbers(paths, channels) if may_lack else () for name, paths in groups.items()}
    for name, paths in groups.items():
        if len(paths) + len(missing[name]) != channels:
            fix = None if may_lack else "Add the file, or train with augment.channel_dropout to do without"
            raise BadInput(f"case {name} has {len(paths)} channel file(s), the run needs {channels}", paths[0], fix)
    return [
        Scan(name, tuple(sorted(paths)), result_ending(ending_of(paths[0]) or ""), missing[name])
        for name, paths in groups.items()
    ]


def missing_numbers(paths: Sequence[Path], channels: int) -> tuple[int, ...]:
    """Channels that no file of a case is numbered with; none where a file has no number."""
    matches = [_CHANNEL.match(path.name[: -len(ending_of(path) or "")]) for path in paths]
    numbers = {int(match["channel"]) for match in matches if match}
    return tuple(n for n in range(channels) if n not in numbers) if len(numbers) == len(paths) else ()
