"""``get``: from the name of a public data set to a folder that ``Dataset`` opens.

Knows the order: licence, download, checksum, unpack, table, rename. Everything happens in a hidden folder beside the
destination, which appears only when it is whole; what was downloaded stays there after an interruption and is not
downloaded again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voxloom.dataset.fetch.download import Download, Received, checksums, download
from voxloom.dataset.fetch.registry import PublicSet, Remote, find_set
from voxloom.dataset.fetch.table import write_case_table
from voxloom.dataset.fetch.unpack import is_archive, lift_only_folder, unpack
from voxloom.errors import BadInput
from voxloom.files import write_json
from voxloom.progress import Progress

#: Written into every folder: where each file came from, its checksums and the licence that was accepted.
SOURCE = "voxloom-source.json"
_IMAGES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".npz", ".dcm", ".png")


class LicenceNotAccepted(BadInput):
    """The licence of a data set has to be accepted before it is downloaded."""


def get(
    name: str | PublicSet,
    folder: str | Path,
    *,
    accept_licence: bool = False,
    url: str | None = None,
    sha256: str | None = None,
    settings: Download | None = None,
    progress: Progress | None = None,
) -> Path:
    """Download a public data set into ``folder`` and return it; a set that is there already is not downloaded again.

    Parameters
    ----------
    name : a name of ``voxloom get --list``.
    folder : the new data set; must not exist, or hold this very set.
    accept_licence : that the user has read and accepts the licence.
    url : another address of the file; for sets of several files, of the folder that holds them under the same names.
    sha256 : checksum that the file must have, for sets of one file (e.g. the one a colleague recorded).
    progress : called with (bytes, bytes in all) for one file, (files, files in all) for several.

    Raises
    ------
    LicenceNotAccepted : without ``accept_licence``; the message holds the licence.
    BadInput : unknown name, the folder holds something else, or an archive that is broken or dangerous.
    DownloadFailed : no connection, or a file with a wrong checksum (which is removed).
    """
    entry = name if isinstance(name, PublicSet) else find_set(name)
    target = Path(folder)
    if _is_there(entry, target):
        return target
    if not accept_licence:
        raise LicenceNotAccepted(
            f"{entry.name} is under the licence: {entry.licence}", entry.home, "Read it, then add --accept-licence"
        )
    if sha256 is not None and len(entry.files) > 1:
        raise BadInput(f"{entry.name} has {len(entry.files)} files, one checksum cannot fit", None, "Leave it out")
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.parent / f".{target.name}.part"
    received = list(_download_all(entry, staging / "files", url, sha256, settings, progress))
    content = _unpack_all(entry, staging) if entry.archive else staging / "files"
    if entry.table is not None:
        write_case_table(content, entry.table)
    write_json(content / SOURCE, _source(entry, received))
    if target.exists():
        target.rmdir()
    content.rename(target)
    shutil.rmtree(staging)
    return target


def _is_there(entry: PublicSet, target: Path) -> bool:
    """Whether the folder holds the set already (BadInput when it holds anything else)."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    try:
        found = json.loads((target / SOURCE).read_text(encoding="utf-8"))["name"]
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if found != entry.name:
        what = f"holds {found}" if found else "exists and was not made by voxloom get"
        raise BadInput(what, target, "Name a new folder with -o")
    return True


def _download_all(
    entry: PublicSet,
    folder: Path,
    url: str | None,
    sha256: str | None,
    settings: Download | None,
    progress: Progress | None,
) -> Iterator[tuple[Remote, Received]]:
    """Download what is not there yet; yields every file with its checksums."""
    for n, remote in enumerate(entry.files):
        path, several = folder / remote.path, len(entry.files) > 1
        known = _known(path, remote, sha256)
        if known is not None:
            yield remote, known
        else:
            urls = remote.urls if url is None else (f"{url.rstrip('/')}/{remote.path}" if several else url,)
            watch = None if several else progress
            yield remote, download(urls, path, md5=remote.md5, sha256=sha256, settings=settings, progress=watch)
        if several and progress is not None:
            progress(n + 1, len(entry.files))


def _known(path: Path, remote: Remote, sha256: str | None) -> Received | None:
    """A file of an earlier, interrupted run, if it is the right one."""
    if not path.is_file():
        return None
    found = checksums(path, remote.urls[0])
    return found if remote.md5 in (None, found.md5) and sha256 in (None, found.sha256) else None


def _unpack_all(entry: PublicSet, staging: Path) -> Path:
    """Unpack into a fresh folder; an archive that holds only archives is unpacked once more."""
    fresh = staging / "unpacked"
    if fresh.exists():
        shutil.rmtree(fresh)
    for remote in entry.files:
        unpack(staging / "files" / remote.path, fresh, largest=entry.unpacked_limit)
    for inner in _inner_archives(fresh):
        unpack(inner, inner.parent / f"{inner.name}-unpacked", largest=entry.unpacked_limit)
        inner.unlink()
    return lift_only_folder(fresh)


def _inner_archives(folder: Path) -> list[Path]:
    files = [p for p in folder.rglob("*") if p.is_file()]
    if any(p.name.lower().endswith(_IMAGES) for p in files):
        return []
    return [p for p in files if is_archive(p)]


def _source(entry: PublicSet, received: list[tuple[Remote, Received]]) -> dict[str, Any]:
    return {
        "name": entry.name,
        "title": entry.title,
        "home": entry.home,
        "citation": entry.citation,
        "licence": entry.licence,
        "licence_accepted": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": [
            {
                "path": remote.path,
                "url": file.url,
                "bytes": file.bytes,
                "sha256": file.sha256,
                "md5": file.md5,
                "checksum": "as published" if remote.md5 else "none published; recorded at the first download",
            }
            for remote, file in received
        ],
    }
