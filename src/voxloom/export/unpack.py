"""Zip files from elsewhere, unpacked without trust: no path leaves the folder, no link, no more bytes than the disk has."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from pathlib import Path

from voxloom.errors import BadInput
from voxloom.export.manifest import safe_name

#: Bytes that may unpack from one packed byte; weights hardly shrink.
_RATIO = 200
_SMALL = 64 << 20


def unpack(path: Path, folder: Path) -> None:
    """Write the files of a zip below ``folder``.

    Raises
    ------
    BadInput : it is not a zip or damaged, a name leaves the folder, an entry is a link, or it unpacks to more than fits.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            entries = [entry for entry in packed.infolist() if not entry.is_dir()]
            _check(entries, path, folder)
            for entry in entries:
                target = folder.joinpath(*safe_name(entry.filename, path).parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(entry) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadInput(f"is not a zip file, or damaged ({error})", path, "Copy it again") from error


def _check(entries: list[zipfile.ZipInfo], path: Path, folder: Path) -> None:
    for entry in entries:
        safe_name(entry.filename, path)
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise BadInput(f"holds a link: {entry.filename}", path, "Ask for a zip without links")
    size, packed = sum(entry.file_size for entry in entries), path.stat().st_size
    if size > shutil.disk_usage(folder).free or size > max(_SMALL, _RATIO * packed):
        what = f"{packed / 1e6:.1f} MB unpack to {size / 1e9:.1f} GB"
        raise BadInput(what, path, "Free some space; where it is meant to be small, do not trust it")


def only_folder(place: Path) -> Path:
    """The folder that holds the files: ``place`` itself, or the only folder in it, and so on."""
    while len(inside := list(place.iterdir())) == 1 and inside[0].is_dir():
        place = inside[0]
    return place
