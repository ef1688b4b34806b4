"""The folders that Voxloom writes to: whether it may, and how much room they have."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from voxloom.verbs.doctor.finding import Finding, State

#: GB of a disk below which a training may fill it, and below which hardly anything can be written.
ROOMY_DISK, LEAST_DISK = 10.0, 0.5


def place_findings(folder: Path) -> list[Finding]:
    """Where runs and caches go (``folder``), where temporary files go, and where weights of others are kept."""
    found = [
        place_finding("runs and caches", folder, "Work in another folder, or give -o"),
        place_finding("temporary files", Path(tempfile.gettempdir()), "Set TMPDIR to a folder with room"),
        place_finding("downloaded weights", weights_folder(), "Set HF_HOME to a folder that you may write to"),
    ]
    if given := os.environ.get("VOXLOOM_DATA"):
        found.append(data_finding(Path(given)))
    return found


def weights_folder() -> Path:
    """Where huggingface-hub keeps what it downloads; the nearest folder that is there."""
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface")
    place = home.expanduser().absolute()
    return next((folder for folder in (place, *place.parents) if folder.is_dir()), place)


def place_finding(name: str, folder: Path, fix: str) -> Finding:
    """Whether a folder can be written to, and its free room."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"voxloom")
    except OSError as error:
        return Finding("places", name, State.fault, f"{folder}: {error.strerror or error}", fix)
    free = shutil.disk_usage(folder).free / 1e9
    text = f"{folder}: can be written, {free:.1f} GB free"
    if free < LEAST_DISK:
        return Finding("places", name, State.fault, text, f"Free some space. {fix}")
    if free < ROOMY_DISK:
        return Finding("places", name, State.note, text, "voxloom cache CACHE --days 30 frees what is no longer used")
    return Finding("places", name, State.ok, text)


def data_finding(folder: Path) -> Finding:
    """Whether the folder of real data sets ($VOXLOOM_DATA) is there."""
    with contextlib.suppress(OSError):
        count = sum(path.is_dir() for path in folder.iterdir())
        return Finding("places", "$VOXLOOM_DATA", State.ok, f"{folder}: {count} folders")
    fix = "Set VOXLOOM_DATA to a folder of data sets, or unset it"
    return Finding("places", "$VOXLOOM_DATA", State.note, f"{folder}: cannot be read", fix)
