"""Scans that people send: checked, unpacked and kept under names of the service's own. A client's file name is never a path.

Taken are NIfTI, MetaImage and NRRD files that hold their voxels themselves, DICOM files, and zip archives of DICOM. A header that
names another file could make the service read what lies beside it, so such files are refused. Entries of archives become numbers.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from voxloom.dataset import Case
from voxloom.dataset.sources import FileChannel
from voxloom.errors import BadInput
from voxloom.serve.refusals import TooLarge

#: Formats whose one file holds header and voxels.
ENDINGS = (".nii.gz", ".nii", ".mha", ".nrrd")
#: Bytes of a text header that are looked at.
_HEADER = 1 << 16
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What an upload may be at most.

    Parameters
    ----------
    unpacked : bytes of all entries of an archive together.
    entries : files of an archive, or of one upload.
    ratio : how much larger than itself an entry may become, above a mebibyte.
    """

    unpacked: int = 8 << 30
    entries: int = 20_000
    ratio: int = 500


USUAL = Limits()


@dataclass(frozen=True)
class Sent:
    """A file that a client sent: what it called it, and where its bytes lie now."""

    name: str
    path: Path


@dataclass(frozen=True)
class Unpacked:
    """An upload as files of ours.

    Parameters
    ----------
    scans : one entry per case: files of its channels, or one folder of a DICOM series.
    stem : of the first file's name, for a case's id; "" for DICOM, whose file names may name people.
    left_out : entries of an archive that are not DICOM.
    """

    scans: list[list[Path]]
    stem: str
    left_out: int = 0


def ending_of(name: str) -> str:
    """The known ending of a file's name, or ""."""
    return next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")


def unpack(sent: Sequence[Sent], folder: Path, limits: Limits = USUAL) -> Unpacked:
    """Sort what was sent into scans below ``folder``.

    Raises
    ------
    BadInput : a file is of no known format, names another file, or kinds are mixed.
    TooLarge : an archive is too large, or larger than an honest one can be.
    """
    if not sent:
        raise BadInput("no file was sent", "file", "Send one as multipart/form-data under the name `file`")
    if len(sent) > limits.entries:
        raise TooLarge(f"{len(sent)} files are more than {limits.entries}", "file", "Send fewer at once")
    folder.mkdir(parents=True, exist_ok=True)
    kinds = [kind_of(one) for one in sent]
    if len(set(kinds)) > 1:
        raise BadInput(f"mixes {' and '.join(sorted(set(kinds)))}", "file", "Send one scan at a time")
    if kinds[0] == "image":
        return Unpacked([[take_image(one, folder, n) for n, one in enumerate(sent)]], _stem(sent[0].name))
    if kinds[0] == "DICOM":
        for number, one in enumerate(sent):
            one.path.replace(folder / f"{number:06d}.dcm")
        return Unpacked(by_series(folder), "")
    left_out, number = 0, 0
    for one in sent:
        for taken in unzip(one.path, folder, number, limits):
            number += 1
            left_out += not taken
    return Unpacked(by_series(folder), "", left_out)


def kind_of(sent: Sent) -> str:
    """ "image", "DICOM" or "archive", by content first (BadInput for anything else)."""
    with sent.path.open("rb") as file:
        head = file.read(132)
    if head[128:132] == b"DICM":
        return "DICOM"
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "archive"
    if ending_of(sent.name):
        return "image"
    if looks_like_dicom(sent.path):
        return "DICOM"
    known = ", ".join(ENDINGS)
    raise BadInput("is of no format that is taken", "file", f"Send {known}, DICOM files or a zip of DICOM files")


def looks_like_dicom(path: Path) -> bool:
    """Whether a file without the usual first bytes is DICOM all the same: old files begin with a group of elements."""
    import pydicom

    with path.open("rb") as file:
        if file.read(4)[1:4] not in (b"\x00\x05\x00", b"\x00\x08\x00", b"\x00\x00\x00", b"\x00\x10\x00"):
            return False
    try:
        found = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=["SOPClassUID"])
    except Exception:
        return False
    return "SOPClassUID" in found


def take_image(sent: Sent, folder: Path, number: int) -> Path:
    """Keep an image file under a number (BadInput where its header names another file)."""
    ending = ending_of(sent.name)
    refuse_elsewhere(sent.path, ending)
    path = folder / f"{number:04d}{ending}"
    sent.path.replace(path)
    return path


def refuse_elsewhere(path: Path, ending: str) -> None:
    """Refuse a header whose voxels lie in another file: that could be any file of the server's."""
    with path.open("rb") as file:
        head = file.read(_HEADER).lower()
    if ending == ".nrrd":
        text = head.split(b"\n\n", 1)[0].split(b"\r\n\r\n", 1)[0]
        lines = [line.split(b":", 1)[0].strip() for line in text.splitlines()]
        away = any(line in (b"data file", b"datafile") for line in lines)
    elif ending == ".mha":
        values = [line.partition(b"=")[2].strip() for line in head.splitlines() if line.startswith(b"elementdatafile")]
        away = not values or values[0] != b"local"
    else:
        away = False
    if away:
        raise BadInput("its header names another file for the voxels", "file", "Save it as one file, e.g. .nii.gz")


def unzip(archive: Path, folder: Path, first: int, limits: Limits) -> Iterator[bool]:
    """Write the DICOM files of an archive as numbers; yields whether each entry was one.

    Neither names nor links of the archive are used: bytes are read, counted while they come, and written under a number.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            if len(entries) > limits.entries:
                what = f"the archive has {len(entries)} entries, more than {limits.entries}"
                raise TooLarge(what, "file", "Send one series at a time")
            room = limits.unpacked
            for number, entry in enumerate(entries, start=first):
                path = folder / f"{number:06d}.dcm"
                with opened.open(entry) as source, path.open("wb") as target:
                    room -= copy_at_most(source, target, room, entry.compress_size, limits)
                with path.open("rb") as file:
                    is_dicom = file.read(132)[128:132] == b"DICM"
                if not is_dicom and not looks_like_dicom(path):
                    path.unlink()
                    yield False
                else:
                    yield True
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput("the archive cannot be unpacked", "file", "Pack it again, without a password") from error


def copy_at_most(source: IO[bytes], target: IO[bytes], room: int, packed: int, limits: Limits) -> int:
    """Copy an entry; the bytes written (TooLarge where they are more than there is room for, or than is honest)."""
    written, honest = 0, max(packed, 1) * limits.ratio + _BLOCK
    while block := source.read(_BLOCK):
        written += len(block)
        if written > room:
            raise TooLarge(f"unpacked it is larger than {limits.unpacked >> 20} MiB", "file", "Send less at once")
        if written > honest:
            raise TooLarge(f"an entry grows more than {limits.ratio}-fold", "file", "Pack the files again")
        target.write(block)
    return written


def by_series(folder: Path) -> list[list[Path]]:
    """A folder per DICOM series, numbered; its path as the one file of a case each (BadInput where there is no image)."""
    import pydicom

    places: dict[str, Path] = {}
    for path in sorted(folder.glob("*.dcm")):
        try:
            found = pydicom.dcmread(
                path, stop_before_pixels=True, force=True, specific_tags=["SeriesInstanceUID", "Rows"]
            )
        except Exception as error:
            raise BadInput("a DICOM file is damaged", "file", "Export the series again") from error
        if "Rows" not in found:  # reports, DICOMDIR: nothing to see in them
            path.unlink()
            continue
        series = str(found.get("SeriesInstanceUID", ""))
        place = places.setdefault(series, folder / f"series_{len(places):03d}")
        place.mkdir(exist_ok=True)
        path.replace(place / path.name)
    if not places:
        raise BadInput("holds no DICOM image", "file", "Send the image files of a series")
    return [[place] for place in places.values()]


def discard(folder: Path) -> None:
    """Remove what was written of an upload that was refused."""
    shutil.rmtree(folder, ignore_errors=True)


def _stem(name: str) -> str:
    """The last part of a client's name without its ending, as a wish for an id."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return last[: len(last) - len(ending_of(last))]


def copied(path: Path, folder: Path) -> list[Sent]:
    """Files of this machine as if they had been sent."""
    folder.mkdir(parents=True)
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    sent = []
    for number, file in enumerate(files):
        shutil.copyfile(file, folder / str(number))
        sent.append(Sent(file.name, folder / str(number)))
    return sent


def upload_case(name: str, files: Sequence[Path], channels: Sequence[str]) -> Case:
    """A case of files that were sent: one per channel, or one that holds all (BadInput for another number)."""
    if len(files) == len(channels):
        return Case(id=name, patient=name, images=dict(zip(channels, map(str, files), strict=True)))
    if len(files) == 1:
        parts = {channel: FileChannel(str(files[0]), number) for number, channel in enumerate(channels)}
        return Case(id=name, patient=name, images=parts)
    what = f"{len(files)} files were sent for {len(channels)} channel(s)"
    raise BadInput(what, "file", f"Send one per channel, in the order {', '.join(channels)}")
