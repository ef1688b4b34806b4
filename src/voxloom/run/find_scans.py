"""What the files and folders that a command is given amount to: scans, each with a name, and notes on all that is none.

Knows what becomes of every file and subfolder: image files, DICOM slices, previews, archives, channels by nnU-Net's ``_0000``. Names
are split by ``voxloom.dataset.names``. Reads headers at most.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxloom.dataset.listing import Listing, is_picture, left_out_notes, list_folder, refuse_dead_link
from voxloom.dataset.names import NO_NUMBER, composed, is_clutter, number_channels, split_ending
from voxloom.dataset.tables import name_some
from voxloom.errors import BadInput, VoxloomError
from voxloom.formats import ENDINGS, read_header
from voxloom.formats.dicom import first_series_uid
from voxloom.formats.dicom.strangers import DICOM_ENDINGS
from voxloom.run.scans import Scan

_PACKED = (".zip", ".tar", ".tgz", ".tar.gz", ".7z", ".rar")
#: Ending of a result whose scan has none, and of one whose scan is a picture of a kind that is not written.
_DEFAULT_ENDING, _PICTURE_ENDING = ".nii.gz", ".png"

Tell = Callable[[str], None]


def _tell_nobody(text: str) -> None:
    """Where nobody listens."""


def find_scans(
    inputs: Sequence[str | Path],
    channels: int,
    may_lack: bool = False,
    *,
    series: Sequence[str] = (),
    tell: Tell = _tell_nobody,
) -> list[Scan]:
    """Scans named by files and folders.

    Parameters
    ----------
    may_lack : take scans of which channel files are missing; the numbers in the names say which.
    series : of each DICOM folder, read the series that any of these names (UID, number or description).
    tell : told what lies in a folder and is not predicted, and how names were understood.

    A file is a scan; with several channels, files ``CASE_0000``, ``CASE_0001`` ... are one. A folder is one DICOM series when it
    holds slices; otherwise the scans in it are its image files and its subfolders of DICOM slices.

    Raises
    ------
    BadInput : a path does not exist, nothing was found, a channel is missing, or two scans would get one name.
    """
    finder = _Finder(channels, may_lack, tuple(series), tell)
    found = [scan for path in map(Path, inputs) for scan in finder.at(path)]
    unique = list({scan.source: scan for scan in found}.values())
    names = [composed(scan.name) for scan in unique]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        listed = " and ".join(str(s.source[0]) for s in unique if composed(s.name) == twice[0])
        what = f"several inputs would be written as {', '.join(twice)}: {listed}"
        raise BadInput(what, None, "Predict them into different folders")
    spelt = {name.casefold(): name for name in names}
    if torn := [name for name in names if spelt[name.casefold()] != name]:
        tell(
            f"{name_some(torn)} and others differ by upper and lower case only: Windows and macOS keep one file for both"
        )
    return unique


@dataclass(frozen=True)
class _Finder:
    """What ``find_scans`` was asked for."""

    channels: int
    may_lack: bool
    series: tuple[str, ...]
    tell: Tell

    def at(self, path: Path) -> list[Scan]:
        """The scans that one input stands for."""
        refuse_dead_link(path)
        if not path.exists():
            raise BadInput("no such file or folder", path)
        if path.is_dir():
            return self._inside(path)
        if path.name.lower().endswith(_PACKED):
            raise BadInput("is a packed archive", path, "Unpack it and give the folder")
        return self._beside(path) if split_ending(path.name)[1] else [Scan(path.stem, (path,), _DEFAULT_ENDING)]

    def _beside(self, path: Path) -> list[Scan]:
        """The scan of a file, with its other channels; what lies beside it tells whether digits number channels."""
        names = [n for n in os.listdir(path.parent) if split_ending(n)[1] and not is_clutter(n)]
        stems = {name: composed(split_ending(name)[0]) for name in {*names, path.name}}
        numbers = number_channels(stems.values(), self.channels)
        case, number = numbers[stems[path.name]]
        if self.channels == 1:
            others = [s for s, (c, n) in numbers.items() if c == case and n != number]
            return [self._scan(stems[path.name] if others else case, {NO_NUMBER: path})]
        ending = split_ending(path.name)[1]
        files = {
            numbers[s][1]: path.with_name(n) for n, s in stems.items() if numbers[s][0] == case and n.endswith(ending)
        }
        return [self._scan(case, files)]

    def _inside(self, folder: Path) -> list[Scan]:
        """The scans in a folder, or the folder as one DICOM series."""
        listing = list_folder(folder)
        slices = listing.loose_dicom
        previews = [n for n in listing.images if is_picture(n)] if slices else listing.pictures_beside
        images = [n for n in listing.images if n not in previews]
        if not images and not self._is_one_channel(listing) and _is_one_series(listing, slices):
            self._tell_left_out(listing, slices, previews)
            return [self._of_series(folder)]
        _refuse_scattered(listing, slices)
        paths = {n: folder / n for n in (*images, *listing.series)}
        if not paths and not slices:
            _refuse_empty(listing)
        self._tell_left_out(listing, slices, previews)
        return [*([self._of_series(folder)] if slices else []), *self._grouped(paths, set(listing.series))]

    def _is_one_channel(self, listing: Listing) -> bool:
        """Whether a folder holds one series by the name of a channel, for a run that does without the others."""
        if not self.may_lack or len(listing.series) != 1:
            return False
        ((_, number),) = number_channels([composed(listing.series[0])], self.channels).values()
        return self.channels > 1 and number in range(self.channels)

    def _grouped(self, paths: Mapping[str, Path], folders: set[str]) -> list[Scan]:
        """Scans from files and DICOM folders by name; numbers at the end of names may count channels."""
        stems = {name: composed(name if name in folders else split_ending(name)[0]) for name in paths}
        numbers = number_channels(stems.values(), self.channels)
        groups: dict[str, dict[int, Path]] = {}
        for name, stem in stems.items():
            case, number = numbers[stem]
            if (other := groups.setdefault(case, {}).get(number)) is not None:
                what = f"{other.name} and {name} would be written under one name"
                raise BadInput(what, paths[name].parent, "Keep one of them, or predict them into different folders")
            groups[case][number] = paths[name]
        kept = [stem for stem, (case, _) in numbers.items() if stem == case and stem.endswith("_0000")]
        if self.channels == 1 and kept:
            self.tell(f"{name_some(kept)}: scans of their own with their neighbours, as the run has one channel")
        return [self._scan(case, files) for case, files in groups.items()]

    def _of_series(self, folder: Path) -> Scan:
        return Scan(folder.resolve().name, (folder,), _DEFAULT_ENDING, series=self.series)

    def _scan(self, case: str, files: Mapping[int, Path]) -> Scan:
        """The scan of a case's files by channel number (BadInput unless they are what the run needs)."""
        ordered = tuple(files[number] for number in sorted(files))
        given = split_ending(ordered[0].name)[1].lower()
        ending = given if given in ENDINGS else _PICTURE_ENDING if is_picture(ordered[0].name) else _DEFAULT_ENDING
        name = _own_name(case, ordered[0])
        if self.channels == 1 and set(files) <= {0, NO_NUMBER} and len(files) == 1:
            return Scan(name, ordered, ending, series=self.series)
        if len(files) == 1 and set(files) <= {0, NO_NUMBER} and _channels_in(ordered[0]) == self.channels:
            return Scan(name, ordered, ending, whole=True)
        missing = tuple(n for n in range(self.channels) if n not in files)
        if not set(files) <= set(range(self.channels)) or (missing and not self.may_lack):
            raise BadInput(_unlike(case, files, self.channels), ordered[0], _fix_names(case, files, self))
        return Scan(name, ordered, ending, missing, series=self.series)

    def _tell_left_out(self, listing: Listing, slices: Sequence[str], previews: Sequence[str]) -> None:
        passed = (*slices, *(name for name in listing.others if slices and name.lower().endswith(DICOM_ENDINGS)))
        others = tuple(name for name in listing.others if name not in passed and name.upper() != "DICOMDIR")
        for note in left_out_notes(str(listing.folder), previews, listing.with_others(others)):
            self.tell(note)


def _own_name(case: str, path: Path) -> str:
    """The case as the file itself spells it (``case`` is in Unicode's composed form)."""
    name = path.name if path.is_dir() else split_ending(path.name)[0]
    tail = len(composed(name)) - len(case)
    return name[: len(name) - tail] if composed(name).startswith(case) else case


def _is_one_series(listing: Listing, slices: Sequence[str]) -> bool:
    """Whether a folder without image files is one DICOM series: slices in it, or all in its subfolders."""
    if slices:
        return not listing.series
    uids = {first_series_uid(listing.folder / name) for name in listing.series}
    return len(listing.series) > 0 and len(uids) == 1


def _refuse_scattered(listing: Listing, slices: Sequence[str]) -> None:
    """Refuse a series that lies in several folders beside other scans: each would be predicted in parts (BadInput)."""
    known: dict[str, str] = {}
    folders = [*(["."] if slices else []), *listing.series]
    for name in folders:
        uid = first_series_uid(listing.folder / name)
        if uid and uid in known:
            what = f"slices of one series lie in {known[uid]} and in {name}"
            raise BadInput(what, listing.folder, "Put them into one folder")
        known[uid] = name


def _refuse_empty(listing: Listing) -> None:
    """Refuse a folder without any scan (BadInput naming what lies there instead)."""
    if listing.closed:
        what = f"holds no scan itself; images lie in its subfolders {name_some(listing.closed)}"
        raise BadInput(what, listing.folder, "Give the folders that hold the scans")
    if packed := [name for name in listing.others if name.lower().endswith(_PACKED)]:
        raise BadInput(f"holds packed archives: {name_some(packed)}", listing.folder, "Unpack them first")
    raise BadInput("holds no image and no DICOM file", listing.folder, "Check the path")


def _channels_in(path: Path) -> int:
    """How many channels a file holds; 0 where its header cannot be read, which reading it will say."""
    try:
        return 0 if path.is_dir() else read_header(path).channels
    except VoxloomError:
        return 0


def _unlike(case: str, files: Iterable[int], channels: int) -> str:
    """How the channel numbers of a case differ from what a run needs, in words."""
    numbers = sorted(n for n in files if n != NO_NUMBER)
    missing = [n for n in range(channels) if n not in numbers]
    has = f"{_channels_told(numbers)}" if numbers else "one file without a channel number"
    lacks = (
        f" ({_channels_told(missing)} {'is' if len(missing) == 1 else 'are'} missing)" if numbers and missing else ""
    )
    return f"case {case} has {has}, the run needs {_joined(range(channels))}{lacks}"


def _fix_names(case: str, files: Iterable[int], finder: _Finder) -> str | None:
    if finder.channels == 1:
        return "If these are scans of their own, give them file by file, or name them otherwise"
    if finder.may_lack:
        return f"Name its files {case}_0000, {case}_0001 and so on"
    return f"Name its files {case}_0000 and so on, add what lacks, or train with augment.channel_dropout to do without"


def _channels_told(numbers: Sequence[int]) -> str:
    return f"channel{'s' if len(numbers) > 1 else ''} {_joined(numbers)}"


def _joined(numbers: Iterable[int]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last
